/* The state of control as people read it. */
#ifndef KMSD_CONTROL_SHOW_H
#define KMSD_CONTROL_SHOW_H

struct kms_json;

/* Print @part ("clock", ...; NULL: all of them) of the server's answer. */
void control_show(const struct kms_json *status, const char *part);

#endif
