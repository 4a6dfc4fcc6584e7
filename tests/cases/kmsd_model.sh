#!/bin/bash
# Every operation of KMS driven through botocore, so that AWS's own code makes the requests and reads the replies, and
# each reply compared with AWS's model; the model's limits tried one by one. With the model of Debian 12's aws command,
# what is newer than it is left out; other cases send that by hand.
. "$(dirname "$0")/../lib/case.sh"
export PYTHONDONTWRITEBYTECODE=1 AWS_MAX_ATTEMPTS=1
python=
for p in python3 /usr/bin/python3; do
	"$p" -c 'import botocore' 2>/dev/null || "$p" -c 'import awscli.botocore' 2>/dev/null || continue
	python=$p
	break
done
[ -n "$python" ] || skip_all 'no botocore here, neither by itself nor in the aws command; see make setup'

start_kmsd
"$python" "$CASE_ROOT/tests/lib/kmsd_model.py" >driven 2>driven.err
is 'the driver comes to its end' "$? $(cat driven.err)" '0 '
while read -r line; do
	case $line in
	'ok '*) pass "${line#ok }" ;;
	'not ok '*) fail "${line#not ok }" ;;
	'# '*) note "${line#\# }" ;;
	esac
done <driven
done_testing
