"""One street scene: flat parts in a three-dimensional world, seen through a pinhole camera and photographed.

World: x metres to the right, y metres up, z metres ahead of the camera. Every part carries its class, its instance and
the plane it lies in, so the image, the labels and the instances that are drawn from it agree by construction.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

UNLABELED, EGO, STATIC, DYNAMIC = 0, 1, 4, 5
ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE = 7, 8, 11, 12, 13, 17
LIGHT, SIGN, VEGETATION, TERRAIN, SKY = 19, 20, 21, 22, 23
PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = 24, 25, 26, 27, 28, 31, 32, 33
PLAIN, WINDOWS, BRICKS, SLATS, ASPHALT, PAVING = range(6)  # textures
FRONT, SIDE, GROUND = range(3)  # the axes a part's texture runs along: (x, y), (z, y) or (x, z)
BASE, BACKDROP, HOUSES, BARRIERS, THINGS, BONNET = range(6)  # layers are painted in this order, each from far to near


@dataclass(frozen=True)
class Camera:
    """u = centre + focal (x / z + bend z / 2) and v = horizon + focal (height - y) / z, in pixels.

    1 / bend is the radius of the street's curve in metres.
    """

    focal: float
    centre: float
    horizon: float
    height: float
    bend: float

    def see(self, x: float, y: float, z: float) -> tuple[float, float]:
        return (self.centre + self.focal * (x / z + self.bend * z / 2),
                self.horizon + self.focal * (self.height - y) / z)


@dataclass
class Part:
    """One flat patch. `plane` holds (a, b, c) of the depth at a pixel: 1 / z = a + b u + c v."""

    order: tuple[int, float]
    outline: list[tuple[float, float]]
    label: int
    instance: int
    colour: tuple[float, float, float]
    plane: tuple[float, float, float]
    facing: int = FRONT
    texture: int = PLAIN
    period: float = 1.0
    grain: float = 0.15
    round: bool = False


@dataclass
class Scene:
    """The parts of a scene, the shadows on its ground, and the light and weather they share."""

    rng: np.random.Generator
    camera: Camera
    parts: list[Part] = field(default_factory=list)
    shadows: list[tuple[list[tuple[float, float]], float]] = field(default_factory=list)
    counts: dict[int, int] = field(default_factory=dict)
    sun: float = 0.0  # metres of shadow to the right for a metre of height; negative to the left
    strength: float = 0.0  # of the sunlight against the sky's
    exposure: float = 1.0
    haze: float = 0.002  # lost a metre
    night: bool = False
    sky: tuple[float, float, float] = (190, 200, 215)
    lane: tuple[float, float, float] = (0.0, 3.5, 0.5)  # a lane line's x, the lanes' width, the paint's brightness
    crossing: float = 500.0  # depth of the zebra crossing

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def one_of(self, label: int) -> tuple[int, int]:
        """A new instance of a class: its label id and its instance id, label * 1000 + running number."""
        self.counts[label] = self.counts.get(label, -1) + 1
        return label, label * 1000 + self.counts[label]

    def add(self, layer: int, depth: float, outline, what, colour, plane, **look) -> None:
        label, instance = what if isinstance(what, tuple) else (what, what)
        self.parts.append(Part((layer, -depth), outline, label, instance, colour, plane, **look))

    def upright(self, x1, x2, y1, y2, z, what, colour, taper=0.0, layer=THINGS, **look) -> None:
        """A patch that faces the camera; `taper` draws its upper corners in."""
        (u1, v1), (u2, v2) = self.camera.see(x1, y2, z), self.camera.see(x2, y1, z)
        inset = min(0.45, (u2 - u1) / 2)  # PIL paints border pixels too: a patch without width is one pixel wide
        u1, u2, lean = u1 + inset, u2 - inset, taper * (u2 - u1)
        outline = [(u1 + lean, v1), (u2 - lean, v1), (u2, v2), (u1, v2)]
        if look.get("round"):
            outline = [(u1, v1), (u2, v2)]
        self.add(layer, z, outline, what, colour, (1 / z, 0, 0), **look)

    def alongside(self, x, z1, z2, y1, y2, what, colour, layer=THINGS, depth=None, **look) -> None:
        """A patch along the street at the sideways position x, from the depth z1 to z2."""
        outline = [self.camera.see(x, y, z) for z, y in ((z1, y1), (z1, y2), (z2, y2), (z2, y1))]
        run = outline[2][0] - outline[1][0]
        slope = (1 / z2 - 1 / z1) / run if abs(run) > 0.5 else 0.0
        plane = (1 / z1 - slope * outline[0][0], slope, 0)
        self.add(layer, depth or z1, outline, what, colour, plane, facing=SIDE, **look)

    def footprint(self, x1, x2, z1, z2) -> list[tuple[float, float]]:
        depths = np.geomspace(z1, z2, 2 + int(6 * math.log(z2 / z1))).tolist()
        return [self.camera.see(x1, 0, z) for z in depths] + [self.camera.see(x2, 0, z) for z in depths[::-1]]

    def strip(self, x1, x2, z1, z2, what, colour, **look) -> None:
        """A patch on the ground that follows the bend of the street."""
        rise = 1 / (self.camera.focal * self.camera.height)
        plane = (-self.camera.horizon * rise, 0, rise)
        self.add(BASE, 0, self.footprint(x1, x2, z1, z2), what, colour, plane, facing=GROUND, **look)

    def shadow(self, x1, x2, z1, z2, depth=0.6) -> None:
        self.shadows.append((self.footprint(x1, x2, z1, z2), depth))

    def foliage(self, x, y, z, width, height, colour, layer=THINGS) -> None:
        """A rough-edged crown or bush centred at (x, y)."""
        turns = np.linspace(0, 2 * np.pi, 15, endpoint=False) + self.between(0, 1)
        reach = self.rng.uniform(0.7, 1.15, 15)
        outline = [self.camera.see(x + width / 2 * r * math.cos(turn), y + height / 2 * r * math.sin(turn), z)
                   for turn, r in zip(turns.tolist(), reach.tolist())]
        self.add(layer, z, outline, VEGETATION, colour, (1 / z, 0, 0), grain=self.between(0.4, 1.0))


def render(scene: Scene, height: int, width: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the parts far to near into one map of part numbers, then look everything up in it.

    Returns the image, uint8 (H, W, 3), the label ids, uint8 (H, W), and the instance ids, uint16 (H, W).
    """
    parts = sorted(scene.parts, key=lambda part: part.order)
    canvas = Image.new("I", (width, height))
    brush = ImageDraw.Draw(canvas)
    for number, part in enumerate(parts):
        (brush.ellipse if part.round else brush.polygon)(part.outline, fill=number)
    owner = np.asarray(canvas)
    labels = np.array([part.label for part in parts], np.uint8)[owner]
    instances = np.array([part.instance for part in parts], np.uint16)[owner]
    return _photograph(scene, parts, owner), labels, instances


def _photograph(scene: Scene, parts: list[Part], owner: np.ndarray) -> np.ndarray:
    """Colour of the part x texture x light, then haze by depth, exposure, blur and sensor noise."""
    rng, camera, (height, width) = scene.rng, scene.camera, owner.shape

    def look_up(name, dtype=np.float32):
        return np.array([getattr(part, name) for part in parts], dtype)[owner]

    facing, v, u = look_up("facing", np.uint8), *np.indices(owner.shape, dtype=np.float32)
    a, b, c = np.moveaxis(look_up("plane"), -1, 0)
    z = 1 / np.clip(a + b * u + c * v, 1 / 400, 2)
    x = (u - camera.centre) * z / camera.focal - np.where(facing == GROUND, camera.bend * z * z / 2, 0)
    y = camera.height - (v - camera.horizon) * z / camera.focal
    s, t = np.where(facing == SIDE, z, x), np.where(facing == GROUND, z, y)
    pattern = _texture(scene, look_up, s, t, z / camera.focal)

    mask = Image.new("L", (width, height))
    brush = ImageDraw.Draw(mask)
    for outline, depth in scene.shadows:
        brush.polygon(outline, fill=int(255 * depth))
    shadow = np.asarray(mask.filter(ImageFilter.BoxBlur(height / 200)), np.float32) / 255
    facade = 1 + 0.45 * scene.strength * np.sign(b) * np.sign(scene.sun)  # the side of the street that looks at the sun
    light = np.where(facing == GROUND, 1 - scene.strength * shadow, facade)
    light = light * (0.93 + 0.14 * _smooth(rng, 3, owner.shape))

    sky = np.array(scene.sky, np.float32)
    cloudy = look_up("label", np.uint8) == SKY
    pattern = np.where(cloudy, 0.75 + 0.5 * _smooth(rng, 7, owner.shape), pattern)
    veil = np.where(cloudy, 0, 1 - np.exp(-scene.haze * z))[..., None]
    image = look_up("colour") * (pattern * light)[..., None]
    warmth = 1 + scene.between(-0.04, 0.04) * np.array([1, 0.2, -1], np.float32)
    image = (image + veil * (0.85 * sky - image)) * (scene.exposure * warmth)
    photo = Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))
    image = np.asarray(photo.filter(ImageFilter.GaussianBlur(scene.between(0.1, 0.7) * height / 128)), np.float32)
    image = image + scene.between(1, 3) * rng.standard_normal((height, width, 1), dtype=np.float32)
    image += scene.between(0.5, 2) * rng.standard_normal(image.shape, dtype=np.float32)
    return np.clip(image, 0, 255).astype(np.uint8)


def _smooth(rng: np.random.Generator, knots: int, shape: tuple[int, int]) -> np.ndarray:
    """A random field in [0, 1] that varies smoothly between knots x 2 knots random values."""
    field_of_knots = Image.fromarray(rng.random((knots, 2 * knots), dtype=np.float32))
    return np.asarray(field_of_knots.resize(shape[::-1], Image.Resampling.BILINEAR))


def _texture(scene: Scene, look_up, s: np.ndarray, t: np.ndarray, pixel: np.ndarray) -> np.ndarray:
    """The factor on a part's colour at (s, t) metres on its plane; what is finer than a pixel (in metres) fades out."""
    cells = scene.rng.random((64, 64), dtype=np.float32)
    soft = np.asarray(Image.fromarray(cells).resize((256, 256), Image.Resampling.BICUBIC))

    def random_cell(rate):
        return cells[(t * rate).astype(np.int32) & 63, (s * rate + 17.3).astype(np.int32) & 63]

    def noise(rate):
        smooth = soft[(t * (4 * rate)).astype(np.int32) & 255, (s * (4 * rate) + 70).astype(np.int32) & 255]
        return (smooth - 0.5) * np.clip(1 / (rate * pixel), 0.15, 1)

    texture, period = look_up("texture", np.uint8), look_up("period")
    pattern = 1 + 0.6 * look_up("grain") * (noise(0.7) + noise(2.6) + noise(9))
    across, along, seen = s / period % 1, t / period % 1, np.clip(period / pixel / 3, 0, 1)

    window = (np.abs(across - 0.5) < 0.27) & (np.abs(along - 0.55) < 0.27) & (texture == WINDOWS)
    bright = random_cell(1 / period) > 0.75
    pattern += seen * window * np.where(bright, 3.5 if scene.night else 0.3, -0.55)
    joint = (along % 0.5 < 0.1) | ((across + (along > 0.5) * 0.5) % 1 < 0.1)
    pattern -= 0.3 * seen * (joint & ((texture == BRICKS) | (texture == PAVING)))
    pattern -= 0.6 * seen * ((across < 0.45) & (texture == SLATS))

    first, width, brightness = scene.lane
    offset = np.abs((s - first + width / 2) % width - width / 2)
    line = np.clip(1.5 - offset / np.maximum(0.1, pixel / 2), 0, 1) * np.clip(0.2 / pixel, 0, 1) * (t % 8 < 4)
    zebra = (np.abs(t - scene.crossing) < 1.8) & (s % 1.1 < 0.55)
    repairs = 0.3 * (random_cell(0.3) > 0.85) - 0.25 * (random_cell(0.17) > 0.8)
    return np.maximum(pattern + (texture == ASPHALT) * (brightness * np.maximum(line, zebra) + repairs), 0.05)
