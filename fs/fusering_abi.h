/*
 * What FUSE over io_uring says on the wire (Linux, Documentation/filesystems/fuse-io-uring.rst and
 * include/uapi/linux/fuse.h of 6.14 on), for kernel headers that are older.
 */
#ifndef FS_FUSERING_ABI_H
#define FS_FUSERING_ABI_H

#include <stdint.h>

#define FUSERING_INIT_EXT    (1U << 30) /* of fuse_init_in.flags: flags2 counts */
#define FUSERING_INIT_FLAGS2 (1U << 9)	/* of flags2: FUSE_OVER_IO_URING, bit 41 of both */

#define FUSERING_REGISTER	  1 /* lend an entry */
#define FUSERING_COMMIT_AND_FETCH 2 /* answer its request and lend it again */

#define FUSERING_OP_MAX 128 /* bytes of an operation's own header */

/* An entry's header, beside its payload. */
struct fusering_header {
	uint8_t in_out[128]; /* struct fuse_in_header; on the way back struct fuse_out_header */
	uint8_t op_in[FUSERING_OP_MAX];
	uint64_t flags;
	uint64_t commit_id; /* names the request when it is answered */
	uint32_t payload_len;
	uint32_t padding;
	uint64_t reserved;
};

/* In the second half of an SQE of 128 bytes. */
struct fusering_command {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t queue; /* a processor's number */
	uint8_t padding[6];
};

#endif
