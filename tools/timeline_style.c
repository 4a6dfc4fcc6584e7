/*
 * Colours and type. See timeline_style.h. Each stretch has a fill and an ink of its own, chosen for a contrast of at least
 * 4.5 in both schemes; meaning never hangs on colour alone: stretches carry words, errors a pattern.
 */
#include "timeline_style.h"

#include <stddef.h>
#include <string.h>

#define LIGHT                                                                                      \
	"--bg:#ffffff;--panel:#f6f8fa;--ink:#1b1f24;--dim:#525b66;--grid:#dfe4ea;--rule:#8b949e;"  \
	"--good:#c3ecd0;--good-ink:#0a3d1d;--warn:#ffe39a;--warn-ink:#4a3300;--wait:#ffc6a8;"      \
	"--wait-ink:#5a1a00;--bad:#f2a7b3;--bad-ink:#4a0012;--mid:#cfe0ff;--mid-ink:#0b2a66;"      \
	"--none:#e4e8ec;--none-ink:#3b434b;--reads:#0b62c4;--writes:#9a3fb0;--pass:#136c33;"       \
	"--fail:#b3142d;--badge:#30363d;--badge-ink:#ffffff;"
#define DARK                                                                                       \
	"--bg:#0f1318;--panel:#181e25;--ink:#e8edf2;--dim:#a3afbb;--grid:#2a323b;--rule:#6b7683;"  \
	"--good:#1c5b36;--good-ink:#e0ffeb;--warn:#6f4e00;--warn-ink:#fff1cc;--wait:#8a3510;"      \
	"--wait-ink:#ffe9de;--bad:#7d1532;--bad-ink:#ffe6ec;--mid:#234a91;--mid-ink:#e8f0ff;"      \
	"--none:#363e47;--none-ink:#dde3e9;--reads:#6cb2ff;--writes:#d88bea;--pass:#5fd38a;"       \
	"--fail:#ff8a9b;--badge:#d5dce4;--badge-ink:#0f1318;"

const char timeline_style_svg[] =
	".tl,:root{" LIGHT "}\n"
	"@media (prefers-color-scheme:dark){.tl,:root{" DARK "}}\n"
	"@media print{.tl,:root{" LIGHT "}}\n"
	".tl{font-family:system-ui,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu "
	"Sans',sans-serif;"
	"font-size:12.5px;fill:var(--ink);-webkit-print-color-adjust:exact;print-color-adjust:"
	"exact}\n"
	".tl .back{fill:var(--bg)}.tl .title{font-size:19px;font-weight:650}\n"
	".tl .sub,.tl .tick{fill:var(--dim)}.tl .head{font-weight:650}.tl "
	".right{fill:var(--dim);font-size:11.5px}\n"
	".tl .grid{stroke:var(--grid);stroke-width:1}.tl .rule{stroke:var(--rule);stroke-width:1}\n"
	".tl .step{stroke:var(--rule);stroke-width:1;stroke-dasharray:2 4}\n"
	".tl .badge{fill:var(--badge)}.tl "
	".number{fill:var(--badge-ink);font-size:11px;font-weight:650}\n"
	".tl .lead{stroke:var(--badge);stroke-width:1;fill:none}\n"
	".tl .markline{stroke:var(--ink);stroke-width:1.4}.tl .mark{font-weight:650}\n"
	".tl .good{fill:var(--good)}.tl .warn{fill:var(--warn)}.tl .wait{fill:var(--wait)}\n"
	".tl .bad{fill:var(--bad)}.tl .mid{fill:var(--mid)}.tl .none{fill:var(--none)}\n"
	".tl .on-good{fill:var(--good-ink)}.tl .on-warn{fill:var(--warn-ink)}\n"
	".tl .on-wait{fill:var(--wait-ink)}.tl .on-bad{fill:var(--bad-ink)}\n"
	".tl .on-mid{fill:var(--mid-ink)}.tl .on-none{fill:var(--none-ink)}\n"
	".tl .band{font-size:12px;font-weight:600}.tl .thin{font-size:10.5px;font-weight:600}\n"
	".tl .panel{fill:var(--panel)}.tl .line{fill:none;stroke-width:1.5;stroke-linejoin:round}\n"
	".tl .reads{stroke:var(--reads)}.tl .writes{stroke:var(--writes)}.tl "
	".area{stroke:none;opacity:.14}\n"
	".tl .area.reads{fill:var(--reads)}.tl .area.writes{fill:var(--writes)}\n"
	".tl .t-reads{fill:var(--reads)}.tl .t-writes{fill:var(--writes)}\n"
	".tl .call{fill:var(--pass)}.tl .call.failed{fill:var(--fail)}.tl .flag{fill:var(--ink)}\n"
	".tl .small{font-size:11.5px}\n"
	".tl .event,.tl .mark,.tl "
	".small.sub{paint-order:stroke;stroke:var(--bg);stroke-width:4px;stroke-linejoin:round}\n";

const char timeline_style_page[] =
	"html{background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,'Segoe "
	"UI',Roboto,'Helvetica Neue',Arial,"
	"'DejaVu Sans',sans-serif;color-scheme:light dark}\n"
	"body{max-width:1240px;margin:0 auto;padding:28px 24px 60px}\n"
	"h1{font-size:26px;line-height:1.25;margin:0 0 6px}h2{font-size:18px;margin:34px 0 10px}\n"
	"p{margin:8px 0;max-width:80ch}.dim{color:var(--dim)}\n"
	".verdict{display:inline-block;padding:3px 12px;border-radius:14px;font-weight:650}\n"
	".verdict.yes{background:var(--good);color:var(--good-ink)}.verdict.no{background:var(--"
	"bad);color:var(--bad-ink)}\n"
	"dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(250px,1fr));gap:10px "
	"24px;margin:18px 0}\n"
	"dt{color:var(--dim);font-size:13px}dd{margin:0;font-weight:600;font-size:14px;overflow-"
	"wrap:anywhere}\n"
	"figure{margin:18px 0;border:1px solid var(--grid);border-radius:8px;overflow:hidden}\n"
	"figure svg{display:block;width:100%;height:auto}\n"
	"table.steps{table-layout:fixed}table{border-collapse:collapse;width:100%;font-size:14px}\n"
	"th,td{text-align:left;vertical-align:top;padding:6px 10px;border-bottom:1px solid "
	"var(--grid);overflow-wrap:anywhere}\n"
	"th{color:var(--dim);font-weight:600}td.t,td.n{white-space:nowrap;font-variant-numeric:"
	"tabular-nums}\n"
	"tr.head td{font-weight:650;border-bottom:0;padding-top:16px}\n"
	".pass{color:var(--pass);font-weight:650}.fail{color:var(--fail);font-weight:650}\n"
	"details{margin:4px 0}summary{cursor:pointer;color:var(--dim)}\n"
	"pre{background:var(--panel);padding:10px "
	"12px;border-radius:6px;overflow-x:auto;font-size:12.5px;line-height:1.45;"
	"white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0 10px}\n"
	"@page{size:A4 landscape;margin:12mm}\n"
	"@media "
	"print{body{padding:0;max-width:none}figure{break-inside:avoid}tr{break-inside:avoid}"
	"details{display:none}}\n";

static const struct {
	const char *state, *css;
} states[] = {
	{"available", "good"},
	{"Enabled", "good"},
	{"warned", "warn"},
	{"PendingDeletion", "warn"},
	{"inaccessible-encryption-credentials-recoverable", "wait"},
	{"Disabled", "wait"},
	{"inaccessible-encryption-credentials", "bad"},
	{"starting", "mid"},
	{"read-only", "mid"},
	{"unmounted", "none"},
};

const char *timeline_style_state(const char *state)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		if (strcmp(states[i].state, state) == 0)
			return states[i].css;
	return "warn"; /* a scenario's own words for a key: throttled, denied, ... */
}

const char *timeline_style_io(enum timeline_io io)
{
	static const char *const css[] = {"none", "good", "wait", "bad", "none"};

	return css[io];
}
