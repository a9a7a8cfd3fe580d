// Moves the play-head: from the recording, the slider, a click on a trace, the film strip or the play button.
"use strict";
(() => {
  const { end, bins, series } = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const media = byId("media"), seek = byId("seek"), play = byId("play"), still = byId("still"), dot = byId("dot");
  const heads = document.querySelectorAll("line.head");
  const values = document.querySelectorAll("output[data-value]");
  const stills = [...document.querySelectorAll(".strip button")];
  const emotions = ["anger", "disgust", "fear", "happiness", "sadness", "surprise", "neutral", "contempt"];
  let now = 0;

  const at = (name, bin) => {
    if (name === "video_weight") {
      const voice = series.audio_weight[bin];
      return voice === null ? null : 1 - voice / 1000;
    }
    const value = series[name][bin];
    return value === null || value === undefined ? null : value / 1000;
  };
  const signed = (value) => (value > 0.005 ? "+" : value < -0.005 ? "\u2212" : "") + Math.abs(value).toFixed(2);
  const texts = {
    valence: signed, arousal: signed,
    face: (share) => share > 0.5 ? "yes" : "no", speech: (share) => share > 0.5 ? "yes" : "no",
    audio_weight: (share) => Math.round(100 * share) + "\u00a0%",
    video_weight: (share) => 100 - Math.round(100 * (1 - share)) + "\u00a0%",
  };
  const text = (name, value) => value === null ? "\u2013" : (texts[name] || ((v) => v.toFixed(2)))(value);
  const clock = (seconds) => {
    if (end < 60) return seconds.toFixed(1) + "\u00a0s";
    const whole = Math.floor(seconds), two = (n) => String(n).padStart(2, "0");
    const minutes = Math.floor(whole / 60) % 60, hours = Math.floor(whole / 3600);
    return (hours ? hours + ":" + two(minutes) : minutes) + ":" + two(whole % 60);
  };

  const show = (seconds) => {
    now = Math.min(Math.max(seconds, 0), end);
    const bin = Math.min(bins - 1, Math.floor(now / end * bins + 1e-6));
    const place = (100 * now / end) + "%";
    heads.forEach((head) => { head.setAttribute("x1", place); head.setAttribute("x2", place); });
    values.forEach((output) => { output.textContent = text(output.dataset.value, at(output.dataset.value, bin)); });
    const valence = at("valence", bin), arousal = at("arousal", bin);
    dot.setAttribute("visibility", valence === null || arousal === null ? "hidden" : "visible");
    dot.setAttribute("cx", 200 + 170 * (valence || 0));
    dot.setAttribute("cy", 200 - 170 * (arousal || 0));
    const leading = emotions.reduce((best, name) => (at(name, bin) ?? -1) > (at(best, bin) ?? -1) ? name : best);
    const probability = at(leading, bin);
    byId("leading").textContent = probability === null ? "nothing known here" : leading + " " + probability.toFixed(2);
    byId("leading-swatch").className = "swatch " + (probability === null ? "" : leading);
    byId("clock").textContent = clock(now);
    seek.value = now;
    seek.setAttribute("aria-valuetext", clock(now) + ", " + byId("leading").textContent + ", valence " +
      text("valence", valence) + ", arousal " + text("arousal", arousal));
    if (stills.length) {
      const distance = (button) => Math.abs(Number(button.dataset.time) - now);
      const nearest = stills.reduce((best, button) => distance(button) < distance(best) ? button : best);
      stills.forEach((button) => button.classList.toggle("current", button === nearest));
      const source = nearest.firstElementChild.src;
      if (still && still.src !== source) still.src = source;
    }
  };
  const go = (seconds) => {
    if (media && media.readyState > 0) media.currentTime = Math.min(Math.max(seconds, 0), media.duration || end);
    show(seconds);
  };

  seek.addEventListener("input", () => go(Number(seek.value)));
  stills.forEach((button) => button.addEventListener("click", () => go(Number(button.dataset.time))));
  document.querySelectorAll("svg.plot").forEach((plot) => {
    const follow = (event) => {
      const box = plot.getBoundingClientRect();
      go((event.clientX - box.left) / box.width * end);
    };
    plot.addEventListener("pointerdown", (event) => { plot.setPointerCapture(event.pointerId); follow(event); });
    plot.addEventListener("pointermove", (event) => { if (event.buttons & 1) follow(event); });
  });

  if (media) {
    const follow = () => {
      show(media.currentTime);
      if (!media.paused && !media.ended) requestAnimationFrame(follow);
    };
    media.addEventListener("play", follow);
    media.addEventListener("seeked", () => { if (media.paused) show(media.currentTime); });
    const tell = () => { byId("media-error").hidden = false; };
    media.addEventListener("error", tell);
    if (media.error) tell();
  }
  if (play) {
    let before = null;
    const turn = (playing) => {
      play.classList.toggle("playing", playing);
      play.setAttribute("aria-label", playing ? "Pause" : "Play the trace");
    };
    const step = (stamp) => {
      if (!play.classList.contains("playing")) return;
      if (before !== null) show(now + (stamp - before) / 1000);
      before = stamp;
      if (now >= end) turn(false); else requestAnimationFrame(step);
    };
    play.addEventListener("click", () => {
      before = null;
      turn(!play.classList.contains("playing"));
      if (now >= end) show(0);
      requestAnimationFrame(step);
    });
  }
  show(Number(seek.value));
})();
