/* CRC-32C (Castagnoli polynomial, RFC 3720 appendix B.4), against accidents, not against people. */
#ifndef FS_CRC32C_H
#define FS_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of what @crc covered (0: nothing yet) followed by @len more bytes. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t len);

#endif
