/* The file `flushed`, 64 bytes in one sector, overwritten in place. See flushed.h. */
#include "flushed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "disk.h"
#include "err.h"
#include "format.h"
#include "keys.h"
#include "mac.h"
#include "secret.h"

#define NAME	"flushed"
#define MAGIC	0x4b4d5356464c5348ULL /* "KMSVFLSH" */
#define SEQ_AT	16
#define MAC_AT	32
#define ALL_LEN (MAC_AT + MAC_LEN)

struct flushed {
	struct disk_file *file;	     /* NULL: there is none */
	struct mac *macs[KEYS_AGES]; /* written is by the newest; the other may be NULL */
	int age;		     /* of the data key that it is under, when it was opened */
	bool known;
	uint64_t seq; /* when opened */
};

/* By which data key the bytes are sealed; KEYS_AGES: by none. */
static int sealed_by(const struct flushed *f, const uint8_t bytes[ALL_LEN])
{
	for (int age = 0; age < KEYS_AGES && f->macs[age]; age++)
		if (mac_check(f->macs[age], bytes, MAC_AT, bytes + MAC_AT, MAC_LEN) == 0)
			return age;
	return KEYS_AGES;
}

static void read_file(struct flushed *f)
{
	uint8_t bytes[ALL_LEN];

	if (!f->file || disk_pread(f->file, bytes, sizeof(bytes), 0) < 0)
		return;
	f->age = sealed_by(f, bytes);
	if (f->age == KEYS_AGES || get_be64(bytes) != MAGIC ||
	    get_be32(bytes + 8) != FORMAT_VERSION)
		return;
	f->known = true;
	f->seq = get_be64(bytes + SEQ_AT);
}

static int open_file(struct flushed *f, struct disk *disk, bool read_only, struct err *err)
{
	int r = disk_open(disk, NAME, read_only ? DISK_READ : DISK_WRITE, &f->file, err);

	if (r == -ENOENT && !read_only) {
		r = disk_open(disk, NAME, DISK_CREATE, &f->file, err);
		if (r == 0 && (r = flushed_put(f, 0)) < 0)
			return err_set(err, -r, NAME ": write: %s", strerror(-r));
	} else if (r == 0) {
		read_file(f);
		/* It may be that nothing is ever flushed under the newest. */
		if (!read_only && f->known && f->age != KEYS_NEWEST &&
		    (r = flushed_put(f, f->seq)) < 0)
			return err_set(err, -r, NAME ": write: %s", strerror(-r));
	}
	return r == -ENOENT ? 0 : r;
}

int flushed_open(struct disk *disk, const struct store_geometry *geometry,
		 const struct secret *data_keys, bool read_only, struct flushed **ret_flushed,
		 struct err *err)
{
	struct flushed *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return err_set(err, ENOMEM, NAME ": out of memory");
	r = keys_volume_file(data_keys, NAME, geometry->volume_id, f->macs, err);
	if (r == 0)
		r = open_file(f, disk, read_only, err);
	if (r < 0) {
		flushed_free(f);
		return r;
	}
	*ret_flushed = f;
	return 0;
}

void flushed_free(struct flushed *flushed)
{
	if (!flushed)
		return;
	disk_close(flushed->file);
	keys_free_macs(flushed->macs);
	free(flushed);
}

bool flushed_known(const struct flushed *flushed)
{
	return flushed->known;
}

uint64_t flushed_seq(const struct flushed *flushed)
{
	return flushed->seq;
}

int flushed_copy(const struct flushed *flushed, struct disk *to, uint64_t seq, struct err *err)
{
	struct flushed copy = {.macs = {flushed->macs[KEYS_NEWEST]}}; /* borrowed */
	int r = disk_open(to, NAME, DISK_CREATE, &copy.file, err);

	if (r < 0)
		return r;
	r = flushed_put(&copy, seq);
	if (r == 0)
		r = to->ops->sync(copy.file);
	disk_close(copy.file);
	return r < 0 ? err_set(err, -r, NAME ": write: %s", strerror(-r)) : 0;
}

int flushed_put(struct flushed *flushed, uint64_t seq)
{
	uint8_t bytes[ALL_LEN] = {0};
	int r;

	put_be64(bytes, MAGIC);
	put_be32(bytes + 8, FORMAT_VERSION);
	put_be64(bytes + SEQ_AT, seq);
	r = mac_sign(flushed->macs[KEYS_NEWEST], bytes, MAC_AT, bytes + MAC_AT);
	return r < 0 ? r : disk_pwrite(flushed->file, bytes, sizeof(bytes), 0);
}
