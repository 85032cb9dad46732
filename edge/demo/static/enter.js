/** In by a link that works once: `/enter#TOKEN/where`. What stands behind # is sent to nobody by itself. */

const [token, ...where] = location.hash.slice(1).split("/");
history.replaceState(null, "", "/enter");
const answer = await fetch("/enter", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token }) });
if (answer.ok) location.replace(`/${where.join("/")}`);
else document.getElementById("refused").hidden = false;
