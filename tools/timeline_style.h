/* The looks of the picture and the page: light, dark by the reader's setting, and on paper. */
#ifndef TOOLS_TIMELINE_STYLE_H
#define TOOLS_TIMELINE_STYLE_H

#include "timeline.h"

/* CSS for everything inside <svg class="tl">, and with it the colours that the page uses too (--bg, --ink, ...). */
extern const char timeline_style_svg[];

/* CSS for the page around it. */
extern const char timeline_style_page[];

/* The class of a stretch: of a state of a volume or a key, of somebody's I/O. */
const char *timeline_style_state(const char *state);
const char *timeline_style_io(enum timeline_io io);

#endif
