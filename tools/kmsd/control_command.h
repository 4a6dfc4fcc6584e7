/* The command `kmsd control`: asks a running server. See kmsd(1). */
#ifndef KMSD_CONTROL_COMMAND_H
#define KMSD_CONTROL_COMMAND_H

/* argv[0] is "control". Returns the exit status: 0 done, 1 failed, 2 wrong usage. */
int control_command(int argc, char **argv);

#endif
