// The playhead follows the sound, a click on the picture goes there, and one recording plays at a time.
const players = [...document.querySelectorAll(".player")].filter((player) => player.querySelector("audio"));
for (const player of players) {
  const audio = player.querySelector("audio");
  const picture = player.querySelector("svg.roll");
  const head = picture.querySelector(".playhead");
  const seconds = Number(player.dataset.seconds);
  const [from, to] = [Number(head.dataset.from), Number(head.dataset.to)];
  const draw = () => {
    const x = from + (to - from) * Math.min(1, audio.currentTime / seconds);
    head.setAttribute("x1", x);
    head.setAttribute("x2", x);
    if (!audio.paused) requestAnimationFrame(draw);
  };
  player.classList.add("live");
  audio.addEventListener("play", () => {
    player.classList.add("heard");
    for (const other of players) if (other !== player) other.querySelector("audio").pause();
    draw();
  });
  audio.addEventListener("seeked", draw);
  picture.addEventListener("click", (event) => {
    const box = picture.getBoundingClientRect();
    const x = ((event.clientX - box.left) / box.width) * picture.viewBox.baseVal.width;
    audio.currentTime = Math.max(0, ((x - from) / (to - from)) * seconds);
    audio.play();
  });
}
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));
