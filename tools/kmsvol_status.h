/* How a volume is doing, for the commands that show it. */
#ifndef TOOLS_KMSVOL_STATUS_H
#define TOOLS_KMSVOL_STATUS_H

struct err;
struct kms_json;
struct place;

/*
 * What the daemon says, or of a volume that is not mounted what header and outage.json say; the caller
 * owns *@ret_status. -ENOENT: no volume there; errors of volume_header_load() and mount_control().
 */
int status_get(const struct place *place, struct kms_json **ret_status, struct err *err);

#endif
