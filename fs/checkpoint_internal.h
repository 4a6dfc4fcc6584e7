/* The inside of checkpoints, shared by checkpoint.c and checkpoint_copy.c, and nobody else. */
#ifndef FS_CHECKPOINT_INTERNAL_H
#define FS_CHECKPOINT_INTERNAL_H

#include "checkpoint.h"
#include "format.h"
#include "keys.h"

struct disk_file;
struct mac;

#define CHECKPOINT_ROOTS 2

struct checkpoint {
	struct disk *disk;
	struct disk_file *map_file;
	struct disk_file *roots[CHECKPOINT_ROOTS];
	struct mac *macs[KEYS_AGES]; /* written is by the newest; the other may be NULL */
	struct format_root root;     /* the last durable one; root.versions is owned */
	struct checkpoint_log log;
	uint64_t previous_replay;
	uint64_t stamp;	     /* the last one used */
	uint64_t *versions;  /* of the checkpoint being written; owned */
	uint8_t *root_bytes; /* room for a root; owned */
	char notice[CHECKPOINT_NOTICE_MAX];
};

/* One without files, of an empty map. */
int checkpoint_new(struct disk *disk, const struct store_geometry *geometry,
		   const struct secret *data_keys, struct checkpoint **ret_checkpoint,
		   struct err *err);

/* Write @root into its file and sync it. */
int checkpoint_write_root(struct checkpoint *c, const struct format_root *root, struct err *err);

/* One page of the map file, as its parent has its version. -EBADMSG. */
int checkpoint_read_page(struct checkpoint *c, const struct format_page *want,
			 uint64_t ret_entries[FORMAT_PAGE_ENTRIES], struct err *err);
int checkpoint_write_page(struct checkpoint *c, const struct format_page *page,
			  const uint64_t entries[FORMAT_PAGE_ENTRIES], struct err *err);

#endif
