#!/bin/bash
# long
# The case kill9 over io_uring, with fewer kills.
TRANSPORT=io-uring KILLS=${KILLS:-8} exec "$(dirname "$0")/kill9.sh"
