
// What `scones status` says is wrong, with the next command, above the page.
let shownStatus = "";
async function showStatus() {
  try {
    const { wrong } = await ask("/live/status");
    const known = JSON.stringify(wrong);
    if (known !== shownStatus) {
      shownStatus = known;
      byId("status").hidden = !wrong.length;
      byId("status").replaceChildren(...wrong.map((one) => {
        const line = element("p", "", "");
        line.append(element("b", "", one.name), ` ${one.detail} `, element("code", "", one.advice));
        return line;
      }));
    }
  } catch { /* the figures above say so */ }
  setTimeout(showStatus, 8000);
}
showStatus();
