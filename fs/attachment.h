/*
 * How a volume's data key is had from KMS. AWS is asked by plain calls of the user. A kmsd on this machine
 * that lets us (kms_can_serve()) is asked as EBS and RDS ask AWS: for the user where a volume is made or
 * attached, which wants the user's permission to create a grant; and in the service's own name, by
 * that grant, where the key is unwrapped. Which service, the encryption context says.
 *
 *   what | EBS | RDS
 *   volume made | data key and a grant to ec2.REGION for the user, Decrypt by it, RetireGrant | the same to rds.REGION, but the grant stays
 *   attached | a grant to this machine's instance for the user, Decrypt by the instance | Decrypt by rds.REGION; a grant for the user only when there is none
 *   each check | Decrypt by the instance | Decrypt by rds.REGION
 *   detached | RetireGrant | nothing
 *
 * The id of an attachment's grant stands in ATTACHMENT_FILE in the volume's directory until it is retired: who
 * finds one there retires it, for its daemon was killed.
 */
#ifndef FS_ATTACHMENT_H
#define FS_ATTACHMENT_H

#include <stdbool.h>

struct attachment;
struct err;
struct kms;
struct secret;
struct volume_header;

#define ATTACHMENT_FILE "grant.json"
#define ATTACHMENT_RDS_PAIR                                                                        \
	"aws:rds:db-id" /* in the encryption context: it is a database's volume */

/* Whether it is a database's volume. */
bool attachment_is_rds(const struct volume_header *header);

/*
 * Attach the volume in @dir_fd (-1: its grant is noted nowhere; for a moment) and unwrap its data key
 * (volume_unwrap()); all borrowed but the key. From then
 * on @kms is asked as the service. On failure nothing is left attached.
 */
int attachment_begin(const struct volume_header *header, int dir_fd, struct kms *kms,
		     struct attachment **ret_attachment, struct secret **ret_key, struct err *err);

/*
 * Put AWS's words for a volume or database that cannot be attached, or started, in front of a refusal @r of its key,
 * where a service asked. For a mount only: a copy or an export is refused in the words of KMS. Returns @r.
 */
int attachment_explain(const struct volume_header *header, struct kms *kms, int r, struct err *err);

/* Detach: retire what attaching has granted. One short try; what fails is logged. NULL is allowed. */
void attachment_end(struct attachment *attachment);

/*
 * The same for a volume that is being made: before its data key is asked for, under @key_id; when
 * @header has it, so that the key can be unwrapped; and at the end, when it is made or was given up.
 */
int attachment_new(const struct volume_header *header, const char *key_id, struct kms *kms,
		   struct attachment **ret_attachment, struct err *err);
int attachment_admit(struct attachment *attachment, struct err *err);
void attachment_made(struct attachment *attachment, int result);

#endif
