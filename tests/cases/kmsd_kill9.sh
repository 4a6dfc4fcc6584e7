#!/bin/bash
# kmsd is killed (SIGKILL) at random moments under five writers and started again on the same directory: every
# change that it acknowledged is there, and the database is whole. SEED=N repeats a run as far as timing allows,
# KILLS=N says how many kills.
. "$(dirname "$0")/../lib/case.sh"
need curl sqlite3

SEED=${SEED:-$(date +%s)}
KILLS=${KILLS:-20}
RANDOM=$SEED
note "SEED=$SEED"

sql() { sqlite3 -readonly "$KMSD_DIR/kmsd.sqlite" "$1"; }

# request OPERATION NAME JSON: one of a writer's requests, in curl's configuration; prints "STATUS NAME" when it ends.
request() {
	local json=${3//\\/\\\\}
	printf '%s\n' "url = \"$AWS_ENDPOINT_URL\"" 'aws-sigv4 = "aws:amz:us-east-1:kms"' \
		"user = \"$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY\"" "header = \"X-Amz-Target: TrentService.$1\"" \
		'header = "Content-Type: application/x-amz-json-1.1"' "data = \"${json//\"/\\\"}\"" \
		"output = \"$DIR/reply\"" "write-out = \"%{http_code} $2\\n\"" 'max-time = 5' next
}

# once OPERATION JSON: one request; its reply.
once() {
	request "$1" once "$2" | grep -v '^next$' | curl -s -K - >"$DIR/status" && grep -q '^200 ' "$DIR/status" &&
		cat "$DIR/reply"
}

policy() {
	printf '{\\"Version\\":\\"2012-10-17\\",\\"Id\\":\\"%s\\",\\"Statement\\":[{\\"Effect\\":\\"Allow\\",' "$1"
	printf '\\"Principal\\":{\\"AWS\\":\\"111122223333\\"},\\"Action\\":\\"kms:*\\",\\"Resource\\":\\"*\\"}]}'
}

# Five writers' requests of round $1, a file each.
write_requests() {
	local i target # a key has 50 aliases at most
	target=$(once CreateKey '{}' | grep -Eo '"KeyId":"[^"]+"' | cut -d'"' -f4)
	for i in $(seq 60); do
		request CreateKey "r$1-$i" '{"Description":"r'"$1-$i"'"}' >&3
		request CreateAlias "alias/r$1-$i" '{"AliasName":"alias/r'"$1-$i"'","TargetKeyId":"'"$target"'"}' >&4
		request CreateGrant "g$1-$i" '{"KeyId":"'"$KEY"'","GranteePrincipal":"arn:aws:iam::111122223333:root","Operations":["Decrypt"],"Name":"g'"$1-$i"'"}' >&5
		request PutKeyPolicy "p$(($1 * 1000 + i))" '{"KeyId":"'"$KEY"'","Policy":"'"$(policy "p$(($1 * 1000 + i))")"'"}' >&6
	done 3>w1 4>w2 5>w3 6>w4
	# Keys of earlier rounds, to be deleted.
	sql "SELECT key_id FROM keys WHERE description LIKE 'r%' AND deletion_ms = 0 LIMIT 60" |
		while read -r i; do
			request ScheduleKeyDeletion "$i" '{"KeyId":"'"$i"'"}'
		done >w5
}

# What was acknowledged of kind FILE NUMBER... must be among what the query finds.
lost() {
	sort "acknowledged.$1" | comm -23 - <(sql "$2" | sort)
}

load_and_kill() {
	local w writers=()
	write_requests "$1"
	for w in 1 2 3 4 5; do
		[ ! -s "w$w" ] || { curl -s -K "w$w" >"out.$w" 2>/dev/null & writers+=($!); }
	done
	sleep "0.0$((RANDOM % 10))"
	sleep "0.$((RANDOM % 4))$((RANDOM % 10))"
	kill -KILL "$KMSD_PID"
	wait "$KMSD_PID" "${writers[@]}" 2>/dev/null
	for w in 1 2 3 4 5; do
		[ ! -f "out.$w" ] || sed -n 's/^200 //p' "out.$w" >>"acknowledged.$w"
		rm -f "out.$w"
	done
}

# Says what is lost or broken.
check() {
	local problem last now
	problem=$(sql 'PRAGMA integrity_check')
	[ "$problem" = ok ] || { echo "database: $problem"; return; }
	lost 1 'SELECT description FROM keys'
	lost 2 'SELECT name FROM aliases'
	lost 3 'SELECT name FROM grants'
	lost 5 'SELECT key_id FROM keys WHERE deletion_ms > 0'
	# Of policies the last one counts; one more may have been under way.
	last=$(tail -n 1 acknowledged.4 | tr -d p)
	now=$(sql "SELECT policy FROM keys WHERE key_id = '$KEY'" | sed -En 's/.*"Id":"p([0-9]+)".*/\1/p')
	[ "${now:-0}" -ge "${last:-0}" ] || echo "policy is $now, $last was acknowledged"
	sql "SELECT 'key without material: ' || key_id FROM keys WHERE material_id NOT IN (SELECT material_id FROM materials)"
	sql "SELECT 'grants are not ' || grant_count FROM keys k WHERE grant_count <> (SELECT count(*) FROM grants g WHERE g.key_id = k.key_id)"
}

start_kmsd
KEY=$(once CreateKey '{}' | grep -Eo '"KeyId":"[^"]+"' | cut -d'"' -f4)
like 'a key is made' "$KEY" '^[0-9a-f-]{36}$'
BLOB=$(once Encrypt '{"KeyId":"'"$KEY"'","Plaintext":"aGVsbG8="}' | grep -Eo '"CiphertextBlob":"[^"]+"' | cut -d'"' -f4)
touch acknowledged.{1,2,3,4,5}
bad=
for ((n = 1; n <= KILLS; n++)); do
	load_and_kill "$n"
	start_kmsd
	bad=$(check 2>&1)
	[ -z "$bad" ] || break
done
is "nothing acknowledged is lost by $KILLS kills, and the database is whole" "${bad:+kill $n: $bad}" ''
note "$(wc -l acknowledged.? | tr '\n' ' ')"
for w in 1 2 3 4 5; do
	ok "writer $w was one" test "$(wc -l <"acknowledged.$w")" -ge "$KILLS"
done
like 'what was encrypted before the first kill decrypts' "$(once Decrypt '{"CiphertextBlob":"'"$BLOB"'"}')" \
	'"Plaintext":"aGVsbG8="'
done_testing
