"""WRITES AND POSTS. What a mail says, in the reader's language, and handing it to a mail server."""
