/* How long a reviewer's page was visible and in use. Part of otel-audit; no dependencies.
 *
 *   <form method="post" action="/decide" data-audit-review data-idle-after="60" data-abandon-url="/abandon">
 *     <input type="hidden" name="ticket" value="...">
 *
 * The form's data gets active_seconds and idle_seconds when it is sent, by the browser or as new FormData(form).
 * Pages without a form: const timer = otelAuditReview.start({ticket, idleAfter}); timer.seconds(); timer.decided().
 *
 * Time from one sign of life (pointer, key, scroll, input, the page shown) to the next is active, unless the page was
 * hidden in it or it is longer than idleAfter seconds. Of several tabs with one ticket only the one used last counts.
 */
(function (global) {
  "use strict";

  var SIGNS = ["pointerdown", "pointermove", "keydown", "wheel", "scroll", "touchstart", "input", "focus"];
  var EAGER = { capture: true, passive: true };

  function start(options) {
    options = options || {};
    var idleAfter = 1000 * (Number(options.idleAfter) > 0 ? Number(options.idleAfter) : 60);
    var ticket = options.ticket || "";
    var now = function () { return performance.now(); }; // monotonic: setting the clock changes nothing
    var begun = now(), last = begun, active = 0;
    var counting = !document.hidden;
    var decided = false;
    var channel = ticket && global.BroadcastChannel ? new BroadcastChannel("otel-audit-review " + ticket) : null;

    function activeUntil(moment) { // with what lies between the last sign of life and this moment
      var gap = moment - last;
      return active + (counting && gap <= idleAfter ? gap : 0);
    }

    function mark() {
      var moment = now();
      active = activeUntil(moment);
      last = moment;
    }

    function sign() {
      if (document.hidden) return;
      mark();
      if (!counting && channel) channel.postMessage("mine");
      counting = true;
    }

    function stop() { mark(); counting = false; }

    function visibility() { if (document.hidden) stop(); else sign(); }

    function seconds() { // asking is no sign of life
      var moment = now();
      // Rounded down: both together are never more than the time that passed.
      var activeMs = Math.floor(activeUntil(moment));
      var idleMs = Math.max(0, Math.floor(moment - begun) - activeMs);
      return { active_seconds: activeMs / 1000, idle_seconds: idleMs / 1000 };
    }

    function send(url) {
      var told = seconds(), body = new URLSearchParams();
      body.set("ticket", ticket);
      body.set("active_seconds", told.active_seconds.toFixed(3));
      body.set("idle_seconds", told.idle_seconds.toFixed(3));
      body.set("reason", "closed");
      return navigator.sendBeacon(url, body); // survives the page
    }

    function leave(event) {
      stop();
      // A page in the back-forward cache may come back and be decided: it is not abandoned.
      if (!event.persisted && !decided && options.abandonUrl) send(options.abandonUrl);
    }

    function comeBack(event) {
      if (!event.persisted) return;
      decided = false; // the same form again; a second decision is recorded as one
      visibility();
    }

    SIGNS.forEach(function (name) { global.addEventListener(name, sign, EAGER); });
    document.addEventListener("visibilitychange", visibility);
    global.addEventListener("pagehide", leave);
    global.addEventListener("pageshow", comeBack);
    if (channel) {
      channel.onmessage = stop; // another tab is in use now
      if (counting) channel.postMessage("mine");
    }

    return {
      seconds: seconds,
      decided: function () { decided = true; return seconds(); },
      stop: function () {
        stop();
        SIGNS.forEach(function (name) { global.removeEventListener(name, sign, EAGER); });
        document.removeEventListener("visibilitychange", visibility);
        global.removeEventListener("pagehide", leave);
        global.removeEventListener("pageshow", comeBack);
        if (channel) channel.close();
      },
    };
  }

  function attach(form) {
    if (form.otelAuditReview) return form.otelAuditReview;
    var field = form.elements.namedItem("ticket");
    var timer = start({
      ticket: field ? field.value : "",
      idleAfter: form.dataset.idleAfter,
      abandonUrl: form.dataset.abandonUrl,
    });
    form.addEventListener("formdata", function (event) {
      var told = timer.decided();
      event.formData.set("active_seconds", told.active_seconds.toFixed(3));
      event.formData.set("idle_seconds", told.idle_seconds.toFixed(3));
    });
    form.otelAuditReview = timer;
    return timer;
  }

  function attachAll() { document.querySelectorAll("form[data-audit-review]").forEach(attach); }

  global.otelAuditReview = { start: start, attach: attach };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", attachAll);
  else attachAll();
})(window);
