#!/bin/bash
# long
# alone: it measures how soon things happen
# The case key_outage over io_uring, the part in which requests wait.
TRANSPORT=io-uring HANG_ONLY=yes exec "$(dirname "$0")/key_outage.sh"
