/* kmsvol start: tell the daemon to look at the key now and to go on, as with --recover manual. */
#include <stdio.h>

#include "err.h"
#include "kmsvol_cmd.h"
#include "kmsvol_place.h"

static const char help[] = "Bring a mounted volume back that has lost its key: the key is checked "
			   "now, and when it is usable\n"
			   "the volume starts, also one that was mounted with --recover manual. It "
			   "starts in the background;\n"
			   "see status. VOL is the volume's directory, or where it is mounted.";

int cmd_start(int argc, char **argv)
{
	const struct cmd cmd = {
		.name = "start", .operands = "VOL", .operand_count = 1, .help = help};
	struct place place;
	struct err err;
	int r, first, code = cmd_parse(&cmd, argc, argv, &first);

	if (code != CMD_GO)
		return code;
	r = place_find(argv[first], &place, &err);
	if (r == 0) {
		r = cmd_ask(place.volume_dir, "start", NULL, &err);
		place_free(&place);
	}
	return r < 0 ? cmd_fail(&err) : CMD_DONE;
}
