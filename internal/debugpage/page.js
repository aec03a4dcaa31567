"use strict";
// Fetches the page every two seconds, and replaces the sections that changed.
// What the reader opened, scrolled, focused or selected stays as it is.
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

	// replace puts a section in the place of its older version.
	function replace(old, next) {
		for (const d of old.querySelectorAll("details[id]")) {
			const twin = next.querySelector("#" + CSS.escape(d.id));
			if (twin) twin.open = d.open;
		}
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
				for (const next of sections) {
					const old = document.getElementById(next.id);
					if (old) replace(old, next);
				}
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
