/* The lanes of the picture (timeline_svg.h), one below the other. */
#ifndef TOOLS_TIMELINE_LANES_H
#define TOOLS_TIMELINE_LANES_H

#include "bytes.h"
#include "timeline.h"

#define PICTURE_WIDTH 1200.0
#define PICTURE_LEFT  168.0 /* where time begins; names stand before it */
#define PICTURE_RIGHT 1136.0
#define PICTURE_EDGE  16.0

/* A picture as it grows downwards. */
struct picture {
	const struct timeline *tl;
	struct timeline_range range;
	struct buf *out;
	double y; /* the next lane begins here */
};

double picture_x(const struct picture *p, uint64_t t);
bool picture_shows(const struct picture *p, uint64_t t);

/*
 * Words beside moments that must not lie on each other: in which row, from 0, those go that take from @from to @to.
 * @ends: where each row ends so far, all 0 at first; PICTURE_ROWS of them. When none has room, the last.
 */
#define PICTURE_ROWS 6
int picture_row(double ends[PICTURE_ROWS], double from, double to);

/* All lanes. 0, -EMSGSIZE, -ENOMEM. */
int picture_lanes(struct picture *p);

#endif
