#!/bin/bash
# long
# The case raw_image over io_uring.
TRANSPORT=io-uring exec "$(dirname "$0")/raw_image.sh"
