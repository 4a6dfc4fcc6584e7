#!/bin/bash
# long
# Shipped scenarios without a database, fast: EBS and a key disabled while attached; DynamoDB, with another profile.
. "$(dirname "$0")/../lib/case.sh"
. "$CASE_ROOT/tests/lib/left.sh"
need aws jq losetup
need_fuse
watch_left kmsvol-scenario
export TMPDIR=$DIR/scratch

ok 'every shipped scenario has a title and says whether it can run on AWS' jq -en --argjson l "$("$KMSVOL" scenario list --json)" \
	'($l | length) >= 11 and all($l[]; .title != "" and (.real_aws | test("^(yes|partly|no, .*)$")))'
for name in $("$KMSVOL" scenario list | awk '{ print $1 }'); do
	like "$name can be shown" "$("$KMSVOL" scenario show "$name" | head -n 1)" '^# Title: '
	ok "$name is bash" bash -n "$CASE_ROOT/tools/scenarios/$name.scenario"
done
mkdir -p there/bin there/share/kmsvol
cp "$KMSVOL" there/bin && cp -r "$CASE_ROOT/tools/scenarios" there/share/kmsvol/
is 'they are found where they are installed' "$(there/bin/kmsvol scenario list)" "$("$KMSVOL" scenario list)"
rm -r there/share
refused 1 "no scenarios are installed: neither '.*/there/bin/../share/kmsvol/scenarios' nor '.*' has them$" there/bin/kmsvol scenario list

ok 'a key disabled while attached: as expected' "$KMSVOL" scenario run ebs-key-disabled-attached --time-scale 600 --report R
is 'its reader noticed the detach, and nothing else' "$(jq -r '[.volumes[0].reader[].io] | join(" ")' R/report.json)" 'served gone served'
is 'its cause is an event of the picture' "$(jq -r '.volumes[0].events[0] | .event + ": " + (.text | sub("^arn:[^ ]*"; "ARN"))' R/report.json)" 'attach failed: ARN is disabled.'
nothing_left 'the key disabled'

# Another service's profile: the same scenario is judged by what that one does.
ok 'DynamoDB with the profile of Aurora' "$KMSVOL" scenario run dynamodb-errors --profile aurora --time-scale 600 --report R
is 'its reader waited' "$(jq -r '[.volumes[0].reader[].io] | join(" ")' R/report.json)" 'served waits served'
done_testing
