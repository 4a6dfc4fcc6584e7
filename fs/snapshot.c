/* snapshot.json: load, check, as text. See snapshot.h. */
#include "snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "bytes.h"
#include "disk.h"
#include "err.h"
#include "kms_json.h"
#include "secret.h"
#include "textfile.h"
#include "utc.h"
#include "volume_header.h"

#define HASH_STEP 65536

static const char *const consistencies[] = {"clean", "mounted", "crash"};

const char *snapshot_consistency_name(enum snapshot_consistency consistency)
{
	return consistencies[consistency];
}

/* Characters of UTF-8 text: bytes that begin one. */
static size_t characters(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

static int set_description(struct snapshot_info *info, const char *description, struct err *err)
{
	if (characters(description) > SNAPSHOT_DESCRIPTION_MAX ||
	    strlen(description) >= sizeof(info->description))
		return err_set(err, EINVAL, "the description is longer than %d characters",
			       SNAPSHOT_DESCRIPTION_MAX);
	strcpy(info->description, description);
	return 0;
}

int snapshot_info_new(const struct volume_header *header, const char *description,
		      struct snapshot_info *ret_info, struct err *err)
{
	struct snapshot_info info = {.size_bytes = header->geometry.size_bytes};
	int r = id_new("snap-", info.id, err);

	if (r == 0)
		r = set_description(&info, description, err);
	if (r < 0)
		return r;
	strcpy(info.volume_id, header->geometry.volume_id);
	strcpy(info.key_arn, header->key_arn);
	info.start_time = (int64_t)time(NULL);
	*ret_info = info;
	return 0;
}

int snapshot_info_new_copy(const struct snapshot_info *of, const struct volume_header *header,
			   const char *description, struct snapshot_info *ret_info, struct err *err)
{
	struct snapshot_info info = {.size_bytes = of->size_bytes,
				     .consistency = of->consistency,
				     .data_bytes = of->data_bytes};
	int r = set_description(&info, description, err);

	if (r < 0)
		return r;
	strcpy(info.id, header->geometry.volume_id);
	strcpy(info.volume_id, of->volume_id);
	strcpy(info.source_id, of->id);
	strcpy(info.key_arn, header->key_arn);
	info.start_time = (int64_t)time(NULL);
	*ret_info = info;
	return 0;
}

bool snapshot_is(const char *dir)
{
	AUTO(freep) char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", dir, SNAPSHOT_NAME) < 0) {
		path = NULL;
		return true; /* loading it will tell */
	}
	return lstat(path, &st) == 0;
}

/* Text. */

static int set_time(struct kms_json *obj, const char *name, int64_t seconds)
{
	char text[UTC_LEN];

	return utc_format(seconds, text) < 0 ? -EINVAL : kms_json_set_str(obj, name, text);
}

char *snapshot_text(const struct snapshot_info *info)
{
	AUTO(kms_json_freep) struct kms_json *obj = kms_json_new_object();
	char hex[2 * SNAPSHOT_DIGEST_LEN + 1], *text;
	int r;

	if (!obj)
		return NULL;
	bytes_to_hex(info->roots, sizeof(info->roots), hex);
	r = kms_json_set_str(obj, "format", SNAPSHOT_FORMAT) |
	    kms_json_set_u64(obj, "format_version", SNAPSHOT_FORMAT_VERSION) |
	    kms_json_set_str(obj, "snapshot_id", info->id) |
	    kms_json_set_str(obj, "volume_id", info->volume_id) |
	    (*info->source_id ? kms_json_set_str(obj, "source_snapshot_id", info->source_id) : 0) |
	    kms_json_set_u64(obj, "size_bytes", info->size_bytes) |
	    kms_json_set_str(obj, "key_arn", info->key_arn) |
	    kms_json_set_str(obj, "description", info->description) |
	    kms_json_set_str(obj, "state", info->completed ? "completed" : "pending") |
	    set_time(obj, "start_time", info->start_time) |
	    (info->completed ? set_time(obj, "completion_time", info->completion_time)
			     : kms_json_set_null(obj, "completion_time")) |
	    kms_json_set_str(obj, "consistency", consistencies[info->consistency]) |
	    kms_json_set_u64(obj, "data_bytes", info->data_bytes) |
	    (info->completed ? kms_json_set_str(obj, "roots_sha256", hex)
			     : kms_json_set_null(obj, "roots_sha256"));
	AUTO(freep) char *pretty = r < 0 ? NULL : kms_json_text_pretty(obj);
	return pretty && asprintf(&text, "%s\n", pretty) >= 0 ? text : NULL;
}

static int parse_format(const struct kms_json *obj, struct err *err)
{
	const char *format;
	uint64_t version;
	int r;

	if (kms_json_str(obj, "format", &format, NULL) < 0 || strcmp(format, SNAPSHOT_FORMAT) != 0)
		return err_set(err, EUCLEAN, "no \"format\": \"%s\"", SNAPSHOT_FORMAT);
	r = kms_json_u64(obj, "format_version", &version, err);
	if (r == 0 && version != SNAPSHOT_FORMAT_VERSION)
		r = err_set(err, version ? ENOTSUP : EUCLEAN,
			    "is of format version %" PRIu64 ", this program reads %d", version,
			    SNAPSHOT_FORMAT_VERSION);
	return r;
}

static int parse_id(const struct kms_json *obj, const char *name, const char *prefix,
		    char ret_id[ID_LEN], struct err *err)
{
	const char *id;
	int r = kms_json_str(obj, name, &id, err);

	if (r == 0 && !id_is(id, prefix))
		r = err_set(err, EUCLEAN, "member '%s' is not '%s' and %d hex digits", name, prefix,
			    ID_LEN_DIGITS);
	if (r == 0)
		strcpy(ret_id, id); /* its length is known now */
	return r;
}

static int parse_text(const struct kms_json *obj, const char *name, char *ret_text, size_t room,
		      struct err *err)
{
	const char *text;
	int r = kms_json_str(obj, name, &text, err);

	if (r == 0 && strlen(text) >= room)
		r = err_set(err, EUCLEAN, "member '%s' is longer than %zu bytes", name, room - 1);
	if (r == 0)
		strcpy(ret_text, text);
	return r;
}

static int parse_time(const struct kms_json *obj, const char *name, int64_t *ret_seconds,
		      struct err *err)
{
	const char *text;
	int r = kms_json_str(obj, name, &text, err);

	if (r == 0 && utc_parse(text, ret_seconds) < 0)
		r = err_set(err, EUCLEAN, "member '%s' is no time like '%s'", name, UTC_EXAMPLE);
	return r;
}

static int parse_consistency(const struct kms_json *obj, struct snapshot_info *info,
			     struct err *err)
{
	const char *text;
	int r = kms_json_str(obj, "consistency", &text, err);

	if (r < 0)
		return r;
	for (unsigned i = 0; i < sizeof(consistencies) / sizeof(*consistencies); i++) {
		if (strcmp(text, consistencies[i]) == 0) {
			info->consistency = (enum snapshot_consistency)i;
			return 0;
		}
	}
	return err_set(err, EUCLEAN,
		       "member 'consistency' is '%.32s', none of clean, mounted, crash", text);
}

/* What a snapshot has only when it is completed. */
static int parse_state(const struct kms_json *obj, struct snapshot_info *info, struct err *err)
{
	const char *state, *hex;
	int r = kms_json_str(obj, "state", &state, err);

	if (r < 0)
		return r;
	info->completed = strcmp(state, "completed") == 0;
	if (!info->completed && strcmp(state, "pending") != 0)
		return err_set(err, EUCLEAN, "member 'state' is neither pending nor completed");
	if (!info->completed)
		return 0;
	if ((r = parse_time(obj, "completion_time", &info->completion_time, err)) < 0 ||
	    (r = kms_json_str(obj, "roots_sha256", &hex, err)) < 0)
		return r;
	if (bytes_from_hex(hex, info->roots, sizeof(info->roots)) < 0)
		return err_set(err, EUCLEAN, "member 'roots_sha256' is not %d hex digits",
			       2 * SNAPSHOT_DIGEST_LEN);
	return 0;
}

int snapshot_parse(const char *text, size_t len, struct snapshot_info *ret_info, struct err *err)
{
	AUTO(kms_json_freep) struct kms_json *obj = NULL;
	struct snapshot_info info = {0};
	int r;

	if ((r = kms_json_parse(text, len, &obj, err)) < 0 || (r = parse_format(obj, err)) < 0 ||
	    (r = parse_id(obj, "snapshot_id", "snap-", info.id, err)) < 0 ||
	    (r = parse_id(obj, "volume_id", "vol-", info.volume_id, err)) < 0 ||
	    (kms_json_has(obj, "source_snapshot_id") &&
	     (r = parse_id(obj, "source_snapshot_id", "snap-", info.source_id, err)) < 0) ||
	    (r = kms_json_u64(obj, "size_bytes", &info.size_bytes, err)) < 0 ||
	    (r = parse_text(obj, "key_arn", info.key_arn, sizeof(info.key_arn), err)) < 0 ||
	    (r = parse_text(obj, "description", info.description, sizeof(info.description), err)) <
		    0 ||
	    (r = parse_time(obj, "start_time", &info.start_time, err)) < 0 ||
	    (r = parse_consistency(obj, &info, err)) < 0 ||
	    (r = kms_json_u64(obj, "data_bytes", &info.data_bytes, err)) < 0 ||
	    (r = parse_state(obj, &info, err)) < 0)
		return r;
	*ret_info = info;
	return 0;
}

int snapshot_load(const char *dir, struct snapshot_info *ret_info, struct err *err)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;
	AUTO(freep) char *text = NULL;

	if (fd < 0)
		return err_set(err, errno, "%s",
			       errno == ENOTDIR ? "this is no snapshot: not a directory"
						: strerror(errno));
	r = textfile_read(fd, SNAPSHOT_NAME, SNAPSHOT_SIZE_MAX, &text);
	(void)close(fd); /* only read */
	if (r == -ENOENT)
		return err_set(err, ENOENT, "this is no snapshot: %s is missing", SNAPSHOT_NAME);
	if (r == -EFBIG || r == -EUCLEAN)
		return err_set(err, EUCLEAN, "%s: is no text of at most %d bytes", SNAPSHOT_NAME,
			       SNAPSHOT_SIZE_MAX);
	if (r < 0)
		return err_set(err, -r, "%s: %s", SNAPSHOT_NAME, strerror(-r));
	r = snapshot_parse(text, strlen(text), ret_info, err);
	return r < 0 ? err_prefix(err, SNAPSHOT_NAME) : 0;
}

/* The roots. */

static int hash_file(struct disk *disk, const char *name, EVP_MD_CTX *ctx, struct err *err)
{
	struct disk_file *file;
	uint64_t off = 0;
	int64_t n;
	AUTO(freep) uint8_t *bytes = malloc(HASH_STEP);
	int r = disk_open(disk, name, DISK_READ, &file, err);

	if (r == -ENOENT && strcmp(name, "flushed") == 0)
		return 0;
	if (r < 0)
		return r;
	do {
		n = bytes ? disk_pread_some(file, bytes, HASH_STEP, off) : -ENOMEM;
		if (n > 0 && EVP_DigestUpdate(ctx, bytes, (size_t)n) != 1)
			n = -EIO;
		off += n > 0 ? (uint64_t)n : 0;
	} while (n == HASH_STEP);
	disk_close(file);
	return n < 0 ? err_set(err, (int)-n, "%s: read: %s", name, strerror((int)-n)) : 0;
}

int snapshot_roots_digest(struct disk *disk, uint8_t ret_digest[SNAPSHOT_DIGEST_LEN],
			  struct err *err)
{
	static const char *const names[] = {"root.0", "root.1", "flushed"};
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int r = 0;

	if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
		r = err_set(err, EIO, "libcrypto has no SHA-256");
	for (size_t i = 0; r == 0 && i < sizeof(names) / sizeof(*names); i++)
		r = hash_file(disk, names[i], ctx, err);
	if (r == 0 && EVP_DigestFinal_ex(ctx, ret_digest, NULL) != 1)
		r = err_set(err, EIO, "libcrypto has no SHA-256");
	EVP_MD_CTX_free(ctx);
	return r;
}

int snapshot_check(const char *dir, const struct volume_header *header,
		   struct snapshot_info *ret_info, struct err *err)
{
	uint8_t digest[SNAPSHOT_DIGEST_LEN];
	struct snapshot_info info;
	const char *id;
	struct disk *disk;
	int r = snapshot_load(dir, &info, err);

	if (r < 0)
		return r;
	if (!info.completed)
		return err_set(err, EBUSY, "the snapshot is not completed");
	id = *info.source_id ? info.id : info.volume_id;
	if (strcmp(id, header->geometry.volume_id) != 0)
		return err_set(err, EUCLEAN, "%s is of %s'%s', %s of '%s'", SNAPSHOT_NAME,
			       *info.source_id ? "" : "volume ", id, VOLUME_HEADER_NAME,
			       header->geometry.volume_id);
	r = disk_open_dir(dir, &disk, err);
	if (r < 0)
		return r;
	r = snapshot_roots_digest(disk, digest, err);
	disk_free(disk);
	if (r == 0 && memcmp(digest, info.roots, sizeof(digest)) != 0)
		r = err_set(err, EBADMSG,
			    "root.0, root.1 or flushed is damaged or of another time: not as the "
			    "snapshot was made");
	if (r == 0 && ret_info)
		*ret_info = info;
	return r;
}
