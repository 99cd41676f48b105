"""What a test asks of a plot of the status page."""

from __future__ import annotations

__all__ = ("is_drawn",)


def is_drawn(plot: str) -> str:
    """A script that tells whether a plot's canvas has pixels in the colour of the line."""
    return f"""
        const plot = document.querySelector({plot!r});
        const canvas = plot?.querySelector("canvas");
        if (!canvas || !plot.uplot.data[0].length) return false;
        const colour = getComputedStyle(document.documentElement).getPropertyValue("--blue");
        const wanted = colour.match(/[0-9a-f]{{2}}/gi).map((part) => parseInt(part, 16));
        const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
        copy.drawImage(canvas, 0, 0);
        const {{data}} = copy.getImageData(0, 0, canvas.width, canvas.height);
        let found = 0;
        for (let i = 0; i < data.length; i += 4) {{
          const isNear = (part, at) => Math.abs(data[i + at] - part) < 12;
          found += data[i + 3] > 200 && wanted.every(isNear);
        }}
        return found > 20;
    """
