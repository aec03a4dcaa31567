"use strict";
// Fetches the page every two seconds, and replaces the sections that changed.
// What the reader opened, scrolled, focused or selected stays as it is, and where
// it is.
(() => {
	const period = 2000, slowest = 30000;
	const status = document.getElementById("status");
	const word = document.createElement("span");
	const button = document.createElement("button");
	let paused = false, busy = false, failures = 0, timer = 0;

	function say(text, bad) {
		word.textContent = text;
		word.className = bad ? "bad" : "";
	}

	// keep puts into the next section the rows of the old one that are open and no
	// longer among the latest. They stay in their order until they are closed.
	function keep(old, next) {
		const list = next.querySelector(".requests");
		if (!list) return;
		const number = row => Number(row.id.slice(1));
		for (const row of old.querySelectorAll(".requests > details[open]")) {
			if (list.querySelector("#" + CSS.escape(row.id))) continue;
			const older = [...list.children].find(other => number(other) < number(row));
			list.insertBefore(next.ownerDocument.importNode(row, true), older ?? null);
		}
	}

	// hold returns a function that moves the window so that what the reader looks at
	// is where it was: what has the focus, else what is open, else what comes first
	// on the screen.
	function hold(page) {
		const row = ".requests > [open]", whole = ":not(section)"; // in a section, rows come in
		const stays = e => !e.closest("[data-live]") || e.matches(row) || page.getElementById(e.id);
		const seen = e => { const r = e.getBoundingClientRect(); return r.height > 0 && r.bottom > 0 && r.top < innerHeight; };
		const all = [...document.querySelectorAll("main [id]" + whole)].filter(e => seen(e) && stays(e));
		const focused = document.activeElement.closest("main [id]" + whole);
		const anchor = all.find(e => e === focused) || all.find(e => e.matches(row)) || all.find(e => e.open)
			|| all.find(e => e.getBoundingClientRect().top >= 0);
		if (!anchor) return () => {};
		const id = anchor.id, top = anchor.getBoundingClientRect().top;
		return () => {
			const again = document.getElementById(id);
			if (again) scrollBy(0, again.getBoundingClientRect().top - top);
		};
	}

	// replace puts a section in the place of its older version.
	function replace(old, next) {
		for (const d of old.querySelectorAll("details[id]")) {
			const twin = next.querySelector("#" + CSS.escape(d.id));
			if (twin) twin.open = d.open;
		}
		keep(old, next);
		if (old.isEqualNode(next)) return;
		const selection = document.getSelection();
		if (!selection.isCollapsed && selection.containsNode(old, true)) return;
		const scrolled = new Map();
		for (const s of old.querySelectorAll(".scroll[id]")) scrolled.set(s.id, [s.scrollLeft, s.scrollTop]);
		const focused = old.contains(document.activeElement) ? document.activeElement : null;
		const parent = focused && focused.closest("[id]");
		old.replaceWith(document.adoptNode(next));
		for (const [id, [left, top]] of scrolled) {
			const s = document.getElementById(id);
			if (s) { s.scrollLeft = left; s.scrollTop = top; }
		}
		if (!parent || !parent.id || parent.id === old.id) return;
		const again = document.getElementById(parent.id);
		if (again) (focused.localName === "summary" ? again.querySelector("summary") : again)?.focus({ preventScroll: true });
	}

	function update() {
		if (busy) return;
		busy = true;
		const request = new XMLHttpRequest();
		// It parses the answer without running anything in it.
		request.responseType = "document";
		request.open("GET", location.pathname + location.search);
		request.timeout = 10000;
		request.onloadend = () => {
			busy = false;
			if (paused) return;
			const page = request.status === 200 && request.response;
			const sections = page ? page.querySelectorAll("[data-live]") : [];
			if (sections.length === 0) {
				failures++;
				say("does not answer", true);
			} else {
				failures = 0;
				say("live", false);
				const release = hold(page);
				for (const next of sections) {
					const old = document.getElementById(next.id);
					if (old) replace(old, next);
				}
				release();
			}
			plan();
		};
		request.send();
	}

	// plan sets the next update. A gateway that does not answer is asked less
	// and less, and a page that nobody sees asks nothing.
	function plan() {
		clearTimeout(timer);
		if (!paused && !document.hidden) timer = setTimeout(update, Math.min(period * 2 ** failures, slowest));
	}

	button.type = "button";
	button.textContent = "Pause";
	button.addEventListener("click", () => {
		paused = !paused;
		button.textContent = paused ? "Go on" : "Pause";
		say(paused ? "paused" : "live", false);
		plan();
	});
	document.addEventListener("visibilitychange", () => {
		plan();
		if (!paused && !document.hidden) update();
	});
	status.replaceChildren(word, " ", button);
	say("live", false);
	plan();
})();
