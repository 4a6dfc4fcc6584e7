# A scenario's report in a headless browser. Sourced behind case.sh, by $CASE_ROOT/tests/lib/look.sh; wants chromium, jq.
# shellcheck shell=bash

# browser WIDTH SCHEME OPTION...: chromium, on nothing of the user's and nothing of the network.
browser() {
	local profile code scheme=1
	[ "$2" = light ] || scheme=0
	profile=$(mktemp -d "$DIR/chromium.XXXXXX") || return 1
	timeout 120 chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
		--disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$profile" \
		--blink-settings=preferredColorScheme=$scheme --window-size="$1,1800" "${@:3}" 2>"$DIR/.browser"
	code=$?
	rm -rf "$profile"
	return $code
}

# look_at REPORT_DIR WIDTH SCHEME: what tests/lib/look.js finds, in $LOOK.
look_at() {
	{
		sed 's|</body>||; s|</html>||' "$1/report.html"
		printf '<script>\n%s\n</script></body></html>\n' "$(cat "$CASE_ROOT/tests/lib/look.js")"
	} >"$DIR/.look.html"
	LOOK=$(browser "$2" "$3" --dump-dom "file://$DIR/.look.html" | sed -n 's|.*<pre id="look">\(.*\)</pre>.*|\1|p' |
		sed 's/&lt;/</g; s/&gt;/>/g; s/&amp;/\&/g')
	jq -e . <<<"$LOOK" >/dev/null 2>&1 || LOOK='{"failed":"the browser"}'
}

# looks_right CLAIM REPORT_DIR WIDTH SCHEME: nobody trips over anything in it.
looks_right() {
	look_at "${@:2}"
	is "$1: ${*:3}: the scheme is the reader's" "$(jq -r 'if .dark then "dark" else "light" end' <<<"$LOOK")" "$4"
	is "$1: ${*:3}: no words lie on each other" "$(jq -r '.overlaps[]' <<<"$LOOK")" ''
	is "$1: ${*:3}: none are cut off" "$(jq -r '.outside[]' <<<"$LOOK")" ''
	is "$1: ${*:3}: none are wider than their band" "$(jq -r '.too_wide[]' <<<"$LOOK")" ''
	is "$1: ${*:3}: all have a contrast of 4.5" "$(jq -r '.pale[]' <<<"$LOOK")" ''
	ok "$1: ${*:3}: nothing is too small to read" jq -en --argjson l "$LOOK" '$l.smallest >= 9'
	ok "$1: ${*:3}: nothing has to be scrolled sideways" jq -en --argjson l "$LOOK" '$l.scrolls <= 0'
}

# screenshot REPORT_DIR WIDTH SCHEME FILE
screenshot() {
	browser "$2" "$3" --screenshot="$4" "file://$PWD/$1/report.html" >/dev/null
	# A PNG as wide as was asked for.
	[ "$(od -An -tu1 -j16 -N4 "$4" | awk '{ print $1 * 16777216 + $2 * 65536 + $3 * 256 + $4 }')" = "$2" ]
}
