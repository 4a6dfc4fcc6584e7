// What a reader of a scenario's report would trip over, found in a browser: put behind the page's own text by
// tests/lib/look.sh, which reads the JSON that this leaves in <pre id="look">.
"use strict";
const look = {};
const svg = document.querySelector("svg.tl");
const words = [...svg.querySelectorAll("text")];

// sRGB to contrast, as WCAG 2.2 defines it.
function parts(colour) {
	return colour.match(/[\d.]+/g).map(Number);
}
function luminance(colour) {
	const [r, g, b] = parts(colour).map(c => {
		c /= 255;
		return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
	});
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
function contrast(a, b) {
	const [x, y] = [luminance(a), luminance(b)].sort((p, q) => q - p);
	return (x + 0.05) / (y + 0.05);
}
function box(e) {
	return e.getBoundingClientRect();
}

// What lies below the words: the last shape before them that covers their middle.
const shapes = [...svg.querySelectorAll("rect, circle, text")];
function below(text) {
	const b = box(text), x = b.x + b.width / 2, y = b.y + b.height / 2;
	let found = getComputedStyle(document.body).backgroundColor;
	for (const s of shapes) {
		if (s === text)
			break;
		const o = box(s);
		if (s.tagName !== "text" && o.left <= x && x <= o.right && o.top <= y && y <= o.bottom)
			found = getComputedStyle(s).fill;
	}
	return found;
}

look.dark = luminance(getComputedStyle(document.documentElement).backgroundColor) < 0.2;
look.bands = {};
for (const r of svg.querySelectorAll("rect.stretch")) {
	const kind = r.getAttribute("class").split(" ")[1];
	look.bands[kind] = (look.bands[kind] || 0) + 1;
}
look.text = words.map(w => w.textContent);

// A pixel at each side may touch: letters do not fill their boxes.
look.overlaps = [];
for (let i = 0; i < words.length; i++)
	for (let k = i + 1; k < words.length; k++) {
		const a = box(words[i]), b = box(words[k]);
		if (a.left + 1 < b.right && b.left + 1 < a.right && a.top + 2.5 < b.bottom && b.top + 2.5 < a.bottom)
			look.overlaps.push(words[i].textContent + " | " + words[k].textContent);
	}

const whole = box(svg);
look.outside = words.filter(w => box(w).left < whole.left || box(w).right > whole.right).map(w => w.textContent);
look.too_wide = words.filter(w => /band|thin/.test(w.getAttribute("class"))).filter(w => {
	const r = w.previousElementSibling;
	return box(w).left < box(r).left || box(w).right > box(r).right;
}).map(w => w.textContent);

look.pale = [];
look.least_contrast = 21;
function judge(what, ink, ground) {
	const c = contrast(ink, ground);
	look.least_contrast = Math.min(look.least_contrast, c);
	if (c < 4.5)
		look.pale.push(what + ": " + c.toFixed(2) + " of " + ink + " on " + ground);
}
for (const w of words)
	judge(w.textContent, getComputedStyle(w).fill, below(w));
for (const e of document.querySelectorAll("h1, h2, p, dt, dd, th, td, summary, .verdict, pre")) {
	let ground = e;
	while (ground && parts(getComputedStyle(ground).backgroundColor)[3] === 0)
		ground = ground.parentElement;
	if (e.textContent.trim())
		judge(e.textContent.slice(0, 30), getComputedStyle(e).color,
			getComputedStyle(ground || document.documentElement).backgroundColor);
}
look.scrolls = document.documentElement.scrollWidth - window.innerWidth;
look.smallest = Math.min(...words.map(w => box(w).height));

const out = document.createElement("pre");
out.id = "look";
out.textContent = JSON.stringify(look);
document.body.append(out);
