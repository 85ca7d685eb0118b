"""What stands in a street: vehicles, people, trees, posts and houses, each drawn into a scene as a few flat parts."""

from deepcontrol.data.scene import (
    BRICKS, BUILDING, BUS, CAR, HOUSES, LIGHT, MOTORCYCLE, PERSON, POLE, RIDER, SIGN, TRAIN, TRUCK, VEGETATION,
    WINDOWS, Scene,
)

Colour = tuple[float, float, float]
TYRE = (25, 25, 28)


# Colours overlap between classes on purpose: place, shape and texture have to tell a wall from a house.


def stone(scene: Scene, low: float = 70, high: float = 190) -> Colour:
    grey, warmth = scene.between(low, high), scene.rng.normal(0, 0.05)
    return grey * (1 + warmth), grey, grey * (1 - warmth)


def brick(scene: Scene, low: float, high: float) -> Colour:
    """Stone, mostly of a warm tint."""
    red, green, blue = stone(scene, low, high)
    warmth = scene.between(0.1, 0.35)
    return red * (1 + warmth), green, blue * (1 - warmth)


def leaf(scene: Scene) -> Colour:
    green = scene.between(75, 145)
    return green * scene.between(0.35, 0.6), green, green * scene.between(0.1, 0.3)


def lacquer(scene: Scene) -> Colour:
    if scene.chance(0.7):
        return stone(scene, 25, 215)
    channels = [scene.between(80, 165), scene.between(40, 110), scene.between(30, 80)]
    return tuple(scene.rng.permutation(channels).tolist())


def darker(colour: Colour, factor: float) -> Colour:
    return tuple(factor * channel for channel in colour)


def vehicle(scene: Scene, label: int, x: float, z: float, oncoming: bool = False) -> None:
    """A car, truck, bus or train along the street: the side that shows, then the end that faces the camera."""
    between, see = scene.between, scene.camera.see
    width, height, length, waist = {
        CAR: (1.8, between(1.35, 1.9), between(3.8, 4.9), 0.58),
        TRUCK: (2.5, between(2.6, 3.8), between(6, 13), 0.5),
        BUS: (2.5, between(2.9, 3.3), between(9, 16), 0.4),
        TRAIN: (2.6, between(3.2, 3.7), between(20, 36), 0.4),
    }[label]
    what, body, glass = scene.one_of(label), lacquer(scene), stone(scene, 20, 90)
    left, right, back, waist = x - width / 2, x + width / 2, z + length, waist * height
    scene.shadow(left + min(0, scene.sun), right + max(0, scene.sun), max(z - 0.4, 1), back, 0.75)

    front, rear = (z + 0.12 * length, z + 0.72 * length) if label == CAR else (z, back)  # of the cabin
    for edge, outwards in ((left, -1), (right, 1)):
        if outwards * (see(edge, 0, back)[0] - see(edge, 0, z)[0]) > 0:  # its far end stands out behind the near one
            scene.alongside(edge, z, back, 0.25, waist, what, darker(body, 0.75))
            scene.alongside(edge, front, rear, waist, height, what, darker(body, 0.7), depth=z)
            if label != TRUCK:
                scene.alongside(edge, front + 0.3, rear - 0.3, waist + 0.05, height * 0.88, what, glass, depth=z)
            for axle in (z + 0.14 * length, z + 0.76 * length):
                scene.alongside(edge, axle, axle + 0.7, 0, 0.65, what, TYRE, depth=z)

    taper = 0.12 if label == CAR else 0.02
    for wheel in (left, right - 0.25):
        scene.upright(wheel, wheel + 0.25, 0, 0.5, z, what, TYRE)
    scene.upright(left, right, waist, height, z, what, body, taper=taper)
    scene.upright(left, right, 0.25, waist, z, what, body)
    if label != TRUCK or oncoming:
        scene.upright(left + 0.15, right - 0.15, waist + 0.05, height * 0.9, z, what, glass, taper=taper)
    for lamp in (left + 0.05, right - 0.4):
        colour = (235, 230, 210) if oncoming else (170, 25, 25)
        scene.upright(lamp, lamp + 0.35, waist * 0.72, waist * 0.9, z, what, colour)


def crossing_car(scene: Scene, x: float, z: float) -> None:
    """A car seen from its side."""
    what, body, length = scene.one_of(CAR), lacquer(scene), scene.between(3.9, 4.8)
    scene.shadow(x, x + length, z - 0.3, z + 1.7, 0.75)
    scene.upright(x + 0.15 * length, x + 0.85 * length, 0.8, 1.45, z, what, body, taper=0.2)
    scene.upright(x + 0.22 * length, x + 0.78 * length, 0.85, 1.35, z, what, stone(scene, 20, 90), taper=0.2)
    scene.upright(x, x + length, 0.25, 0.85, z, what, body)
    for wheel in (x + 0.12 * length, x + 0.7 * length):
        scene.upright(wheel, wheel + 0.65, 0, 0.65, z, what, TYRE, round=True)


def person(scene: Scene, x: float, z: float, label: int = PERSON, seat: float = 0.0) -> None:
    """Legs, trunk and head; a rider's body is raised by the height of the seat."""
    between, what = scene.between, scene.one_of(label)
    tall = between(1.5, 1.9) * (0.65 if label == PERSON and scene.chance(0.12) else 1)
    trousers, coat = (stone(scene, 20, 140) if scene.chance(0.6) else lacquer(scene) for _ in range(2))
    stride, broad, skin = between(0.04, 0.16), between(0.2, 0.28), between(70, 200)
    scene.shadow(x - 0.2 + min(0, scene.sun), x + 0.2 + max(0, scene.sun), z - 0.1, z + 0.4, 0.5)
    for leg in (x - stride, x + stride):
        scene.upright(leg - 0.09, leg + 0.09, seat, seat + 0.5 * tall, z, what, trousers)
    scene.upright(x - broad, x + broad, seat + 0.45 * tall, seat + 0.86 * tall, z, what, coat, taper=0.12)
    face = skin, 0.8 * skin, 0.68 * skin
    scene.upright(x - 0.11, x + 0.11, seat + 0.85 * tall, seat + tall, z, what, face, round=True)


def two_wheeler(scene: Scene, label: int, x: float, z: float, ridden: bool = False) -> None:
    """A bicycle or motorcycle, from its side or its end, and perhaps its rider."""
    what, body, heavy = scene.one_of(label), lacquer(scene), label == MOTORCYCLE
    scene.shadow(x - 0.6, x + 0.6, z - 0.1, z + 0.5, 0.5)
    if scene.chance(0.5):
        tyre = TYRE if heavy else stone(scene, 40, 110)
        for wheel in (x - 0.85, x + 0.2):
            scene.upright(wheel, wheel + 0.65, 0, 0.65, z, what, tyre, round=True)
        scene.upright(x - 0.55, x + 0.55, 0.4, 0.9 if heavy else 0.72, z, what, body, taper=0.2)
        scene.upright(x + 0.35, x + 0.45, 0.5, 1.05, z, what, TYRE)
    else:
        half = 0.16 if heavy else 0.06
        scene.upright(x - half, x + half, 0, 0.65, z, what, TYRE)
        scene.upright(x - 1.6 * half, x + 1.6 * half, 0.45, 1.0, z, what, body)
        scene.upright(x - 0.32, x + 0.32, 0.95, 1.05, z, what, TYRE)
    if ridden:
        person(scene, x, z - 0.01, RIDER, seat=0.3)


def tree(scene: Scene, x: float, z: float) -> None:
    tall, broad, green = scene.between(5, 12), scene.between(3, 7), leaf(scene)
    scene.upright(x - 0.18, x + 0.18, 0, tall * 0.6, z, VEGETATION, stone(scene, 35, 90))
    for _ in range(3):
        middle, lift = x + scene.rng.normal(0, broad / 6), tall * scene.between(0.58, 0.83)
        scene.foliage(middle, lift, z - 0.1, broad, tall * 0.6, darker(green, scene.between(0.75, 1.2)))
    reach = x + scene.sun * tall * 0.6
    scene.shadow(reach - broad / 2, reach + broad / 2, max(z - broad / 2, 1), z + broad / 2)


def post(scene: Scene, x: float, z: float, side: int) -> None:
    """A pole with a lamp's arm over the street, with signs or with a traffic light."""
    between, chance, grey = scene.between, scene.chance, stone(scene, 45, 150)
    tall, thick = between(3, 8), between(0.06, 0.12)
    scene.upright(x - thick, x + thick, 0, tall, z, POLE, grey)
    if tall > 5 and chance(0.6):
        arm = sorted((x, x - side * between(1, 3)))
        scene.upright(*arm, tall - 0.15, tall, z, POLE, grey)
    for _ in range(scene.rng.poisson(0.55)):
        size, low, colour = between(0.25, 0.65), between(1.9, min(tall, 4) - 0.3), lacquer(scene)
        scene.upright(x - size, x + size, low, low + 1.6 * size, z - 0.1, SIGN, colour, round=chance(0.5))
        scene.upright(x - size / 2, x + size / 2, low + 0.5 * size, low + size, z - 0.1, SIGN, stone(scene, 90, 235))
    if chance(0.28):
        low, lamp = between(2.2, 3.0), int(scene.rng.integers(3))
        scene.upright(x - 0.22, x + 0.22, low, low + 1.1, z - 0.1, LIGHT, stone(scene, 20, 60))
        colour, low = ((60, 220, 120), (240, 180, 40), (235, 40, 30))[lamp], low + 0.08 + 0.33 * lamp
        scene.upright(x - 0.14, x + 0.14, low, low + 0.28, z - 0.1, LIGHT, colour, round=True)


def house(scene: Scene, line: float, side: int, z1: float, z2: float) -> None:
    """The end wall and the street front of a house on the building line, perhaps with a roof and a shop."""
    between, front, tall = scene.between, brick(scene, 70, 190), scene.between(6, 23)
    period, ends = between(2.4, 4.5), sorted((line, line + side * between(8, 14)))
    texture = WINDOWS if scene.chance(0.5) else BRICKS
    end_wall = darker(front, between(0.6, 1))
    scene.upright(*ends, 0, tall, z1, BUILDING, end_wall, layer=HOUSES, texture=texture, period=period)
    scene.alongside(line, z1, z2, 0, tall, BUILDING, front, layer=HOUSES, texture=WINDOWS, period=period)
    if scene.chance(0.5):
        roof = between(60, 130), between(40, 70), between(35, 60)
        scene.alongside(line, z1, z2, tall * 0.84, tall, BUILDING, roof, layer=HOUSES)
    if scene.chance(0.4):
        low = between(2.6, 3.6)
        scene.alongside(line, z1, z2, 0, low, BUILDING, lacquer(scene), layer=HOUSES, texture=WINDOWS, period=1.4 * low)
    reach = line + scene.sun * tall
    if (reach - line) * side < 0:  # the house stands between the sun and the street
        scene.shadow(*sorted((line, reach)), z1, z2)
