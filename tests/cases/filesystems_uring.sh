#!/bin/bash
# long
# The case filesystems over io_uring, with one of them.
TRANSPORT=io-uring FILE_SYSTEMS=ext4 exec "$(dirname "$0")/filesystems.sh"
