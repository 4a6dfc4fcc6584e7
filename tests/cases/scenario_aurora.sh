#!/bin/bash
# long
# The article's Aurora cluster as the shipped scenario replays it, fast; and its report as a reader sees it in a browser, in
# light and dark, narrow and wide.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/left.sh"
. "$CASE_ROOT/tests/lib/look.sh"
need_root
need aws jq pg_config runuser chromium losetup
need_fuse
[ -e /dev/loop-control ] || skip_all 'needs loop devices'
watch_left kmsvol-scenario

ok 'the scenario is as expected' env TMPDIR="$DIR/scratch" "$KMSVOL" scenario run aurora-key-disabled --time-scale 400 --report R
nothing_left 'the scenario'
is 'what its client saw' "$(jq -r '[.volumes[0].client[].io] | join(" ")' R/report.json)" 'served waits served'
is 'no error of anybody' "$(jq -r '[.volumes[0] | .reader, .writer, .client | .[] | select(.io == "fails")] | length' R/report.json)" 0
is 'the events' "$(jq -r '[.volumes[0].events[].event | select(startswith("RDS"))] | join(" ")' R/report.json)" 'RDS-EVENT-0418 RDS-EVENT-0419 RDS-EVENT-0420'

# --- interrupted while everybody waits: the file system is frozen, the database hangs, a client too
setsid env --default-signal=INT TMPDIR="$DIR/scratch" "$KMSVOL" scenario run aurora-key-disabled --time-scale 400 --report NONE >out 2>err &
runner=$!
later end_process $runner
ok 'its client waits' wait_for 100 grep -q 'ok .*the client of volume db waits' out
begun=$SECONDS
kill -INT -- "-$runner"
wait "$runner"
is 'interrupted: exit code' $? 130
ok 'within 40 s' test $((SECONDS - begun)) -le 40
not_ok 'no report of it' test -e NONE
nothing_left 'interrupted'

# --- its report in a browser
looks_right 'the report' R 1000 light
is 'bands: served, available, enabled' "$(jq '.bands.good >= 8' <<<"$LOOK")" true
is 'bands: disabled, inaccessible, reader, writer and client' "$(jq .bands.wait <<<"$LOOK")" 5
for w in 'KMS key a' 'Volume db' reader writer client reads/s writes/s Latency RDS-EVENT-0418 RDS-EVENT-0419 RDS-EVENT-0420 'KMS calls' \
	'key a disabled' 'key a enabled' 'waits: no result, no error' '+10 min' inaccessible-encryption-credentials-recoverable; do
	ok "it has: $w" jq -en --argjson l "$LOOK" --arg w "$w" '$l.text | index($w)'
done
looks_right 'the report' R 1400 dark
ok 'a screenshot in light' screenshot R 1200 light light.png
ok 'a screenshot in dark' screenshot R 1200 dark dark.png
not_ok 'they differ' cmp -s light.png dark.png
done_testing
