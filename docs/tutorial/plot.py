"""Curves as an SVG picture, in a few lines."""

from pathlib import Path

COLOURS = ["#1f6feb", "#d1242f", "#1a7f37"]
WIDTH, HEIGHT, LEFT, TOP = 640, 360, 56, 24


def svg(path: Path, curves: dict[str, list[float]], title: str, across: str) -> None:
    """Draws curves over their index; all have the same number of points."""
    length = max(len(values) for values in curves.values())
    top = max(max(values) for values in curves.values())
    right, bottom = WIDTH - 16, HEIGHT - 40

    def point(i: int, value: float) -> str:
        x = LEFT + (right - LEFT) * i / max(1, length - 1)
        return f"{x:.1f},{bottom - (bottom - TOP) * value / top:.1f}"

    parts = [f'<text x="{WIDTH / 2}" y="16" text-anchor="middle">{title}</text>']
    parts.append(f'<text x="{WIDTH / 2}" y="{HEIGHT - 8}" text-anchor="middle">{across}, 0 to {length}</text>')
    for k in range(5):
        y = bottom - (bottom - TOP) * k / 4
        parts.append(f'<path d="M{LEFT},{y:.1f}H{right}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{top * k / 4:.2f}</text>')
    for k, (name, values) in enumerate(curves.items()):
        colour = COLOURS[k % len(COLOURS)]
        line = " ".join(point(i, value) for i, value in enumerate(values))
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{right}" y="{TOP + 16 + 16 * k}" text-anchor="end" fill="{colour}">{name}</text>')
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" font-family="sans-serif"'
    path.write_text(f'{head} font-size="12"><rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>\n')
