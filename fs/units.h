/* Sizes and durations as people write them: "2G", "512MiB", "500ms", "7d". */
#ifndef FS_UNITS_H
#define FS_UNITS_H

#include <stddef.h>
#include <stdint.h>

struct err;

/*
 * A size: decimal digits, then nothing or "B" (bytes), K, M, G or T (powers of 1024), which "iB"
 * or "B" may follow; case does not matter. -EINVAL: no size, or too large for 64 bits.
 */
int units_parse_size(const char *text, uint64_t *ret_bytes, struct err *err);

/*
 * A duration: decimal digits and ms, s, m, h or d (0 needs none); or as ISO 8601 has it, of whole days, hours, minutes and
 * seconds ("PT1M", "P1DT12H"). -EINVAL: no duration, or longer than 100 years.
 */
int units_parse_duration(const char *text, uint64_t *ret_ms, struct err *err);

#define UNITS_TEXT_MAX 32

/* The shortest exact form of @bytes: "2 GiB", "1536 MiB", "1000 bytes". */
void units_format_size(uint64_t bytes, char ret_text[UNITS_TEXT_MAX]);

/* The shortest exact form of @ms: "1500ms", "15m", "7d". */
void units_format_duration(uint64_t ms, char ret_text[UNITS_TEXT_MAX]);

#endif
