/* The inside of a check, shared by the files check*.c, and nobody else. */
#ifndef FS_CHECK_INTERNAL_H
#define FS_CHECK_INTERNAL_H

#include <pthread.h>

#include "check.h"
#include "format.h"
#include "keys.h"

struct blockcrypt;
struct blockmap;
struct crew;
struct disk_file;
struct mac;

/* A range of a segment where no record stands, with records behind it. */
struct check_gap {
	uint64_t off, end;
};

#define CHECK_GAPS_MAX 100000 /* of one segment; more are taken for one that reaches to its end */

/* What is known of a segment. */
struct check_segment {
	uint32_t id;
	uint32_t previous; /* as its header says */
	enum keys_age age; /* of the data key that it is under */
	uint64_t len;	   /* of the file */
	bool readable;	   /* it has a header that says with which salt */
	bool sealed;
	uint64_t end_off; /* where its records end */
	uint64_t durable; /* the largest that a record of it says */
	uint64_t records;
	struct check_gap *gaps; /* owned */
	size_t gap_count;
	uint64_t live, good;  /* blocks that the map has here; those of them that are right */
	uint64_t dead, wrong; /* others that were verified: right, and wrong */
};

struct check {
	struct disk *disk;
	const struct store_geometry *geometry;
	const struct secret *data_key; /* NULL: without */
	const struct check_options *options;
	struct secret
		*keys[KEYS_AGES]; /* each of them; NULL where there is none, as the next two */
	struct mac *header_macs[KEYS_AGES], *map_macs[KEYS_AGES];
	struct crew *crew;
	struct blockmap *map;
	bool has_root;
	uint64_t replay, next_segment;	/* as the root says */
	uint8_t *unknown_leaves;	/* a bit for each leaf that the map file does not give */
	bool unknown;			/* is there one? */
	uint64_t flushed;		/* 0: not known */
	struct check_segment *segments; /* by rising id */
	size_t segment_count;
	uint32_t slot_len;
	pthread_mutex_t lock; /* guards the rest */
	struct check_result result;
	uint64_t done_bytes, all_bytes;
};

/* A segment's file and keys, for one thread. All zero is a valid empty one. */
struct check_reader {
	struct check *check;
	uint32_t id;
	enum keys_age age;
	struct disk_file *file;
	struct secret *keys;
	struct mac *mac; /* of records without blocks */
	struct blockcrypt *crypt;
	uint8_t *slots, *plain;
};

void check_say(struct check *c, const struct check_finding *finding);
bool check_stopped(const struct check *c);
struct check_segment *check_find(struct check *c, uint32_t id); /* NULL: there is none */
uint64_t check_blocks(const struct check *c);			/* of the volume */

/* check_map.c: the roots, and the map into c->map. */
int check_load_map(struct check *c, struct err *err);

/* check_scan.c: headers and records of all segments. Damaged headers are reported. */
int check_scan(struct check *c, struct err *err);

/* For each record that stands in a segment, from @off on. Negative ends it. Positive: enough. */
typedef int check_record_fn(void *arg, const struct format_record *record, uint64_t off);
int check_walk(struct check_reader *reader, const struct check_segment *s, uint64_t off,
	       check_record_fn *fn, void *arg);

/* Bytes of a record; 0: no record has such a type or count. */
uint64_t check_record_len(const struct check *c, const struct format_record *record);

/* check_log.c: what the log has behind the checkpoint, or instead of lost leaves, into c->map. */
int check_apply_log(struct check *c, struct err *err);

/* check_block.c: verify the blocks of all segments. */
int check_verify(struct check *c, struct err *err);

/* Open the file of @s; its keys (check_reader_keys()) when there is a data key. -EBADMSG: not to be had. */
int check_reader_open(struct check *c, struct check_reader *reader, const struct check_segment *s);
int check_reader_keys(struct check *c, struct check_reader *reader);
void check_reader_close(struct check_reader *reader);

/* Is the block @lba in the slot at @off right? Plain into reader->plain. -EBADMSG. */
int check_read_slot(struct check *c, struct check_reader *reader, uint64_t lba, uint64_t off);

/* Is the tag of a record without blocks right? 0, -EBADMSG. */
int check_tag(struct check *c, struct check_reader *reader, const struct format_record *record,
	      uint64_t off);

#endif
