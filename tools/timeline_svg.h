/* The picture of a run: one SVG, complete in itself, light or dark as the reader's browser is. Pure. */
#ifndef TOOLS_TIMELINE_SVG_H
#define TOOLS_TIMELINE_SVG_H

#include <stdbool.h>

struct buf;
struct timeline;

/*
 * Append the <svg> element. From top to bottom: marks and steps; a band for the state of each key; for each volume a band
 * of its state, of how reader, writer and client fared, curves of its I/O and of latency, its events; KMS calls; time,
 * and what that is on AWS's clock; the words of the steps. With @heading, title and settings stand above it. -EMSGSIZE: too
 * large, or no memory for it.
 */
int timeline_svg(const struct timeline *tl, bool heading, struct buf *out);

#endif
