"""What goes wrong underneath: the process killed at any system call, a disk that refuses or is
full, a machine that loses power. README.md says what each harness can and cannot see."""
