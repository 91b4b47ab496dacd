"""Bodies of the five categories, each drawn at random: no two have the same proportions.

What a category has in common is what it is made of: an animal of a trunk, four legs, neck, head and
tail; a human of a torso, head and limbs; an airplane of a fuselage, wings and a tail; a truck of a
cab, a load and wheels; a car of a low body, a cabin and wheels. Lengths are in any unit: bodies are
scaled to one size.
"""

import numpy as np
from norb_like.solids import assembled, box, ellipsoid, mirrored, rod, turned


def make_body(category, instance, seed):
    """The `Body` number `instance` of a category (0 to 4, as small NORB has them)."""
    random = np.random.default_rng([seed, category, instance])
    grey = random.uniform(0.4, 0.7)
    return assembled(CATEGORIES[category](random), grey)


def animal(random):
    u = random.uniform
    long, wide, high = u(0.5, 0.85), u(0.16, 0.32), u(0.18, 0.34)
    leg, thick = u(0.2, 0.7), u(0.05, 0.11)
    middle = leg + 0.7 * high
    slope = turned(pitch=u(-8, 18))
    parts = [ellipsoid((0, 0, middle), (long, wide, high), slope)]
    for end in (1, -1):
        hip = slope @ (end * long * u(0.5, 0.75), 0.6 * wide, 0) + (0, 0, middle)
        for side in (1, -1):
            foot = (hip[0] + u(-0.15, 0.15), side * hip[1], 0)
            parts.append(rod((hip[0], side * hip[1], hip[2]), foot, thick))
    nape = slope @ (0.8 * long, 0, 0.3 * high) + (0, 0, middle)
    crown = nape + u(0.12, 0.7) * _ahead(u(0, 80))
    parts.append(rod(nape, crown, u(0.07, 0.15)))
    skull = (u(0.14, 0.3), u(0.09, 0.18), u(0.09, 0.18))
    look = turned(pitch=u(-40, 10))
    head = crown + look @ (0.4 * skull[0], 0, 0)
    parts.append(ellipsoid(head, skull, look))
    if u() < 0.6:  # ears or horns
        root = head + look @ (-0.3 * skull[0], 0.6 * skull[1], 0.6 * skull[2])
        horn = rod(root, root + u(0.08, 0.3) * _ahead(u(60, 150), u(0, 0.8)), u(0.02, 0.05))
        parts += [horn, mirrored(horn)]
    rump = slope @ (-0.9 * long, 0, 0.2 * high) + (0, 0, middle)
    parts.append(rod(rump, rump - u(0.1, 0.8) * _ahead(u(-50, 70)), u(0.02, 0.1)))
    return parts


def human(random):
    u = random.uniform
    leg, stance, thick = u(0.65, 1.0), u(0.07, 0.2), u(0.06, 0.12)
    wide, deep, high = u(0.17, 0.3), u(0.1, 0.19), u(0.28, 0.42)
    lean = turned(pitch=u(-15, 8))
    waist = np.array([0, 0, leg])
    trunk = box if u() < 0.5 else ellipsoid
    parts = [trunk(waist + lean @ (0, 0, high), (deep, wide, high), lean)]
    neck = waist + lean @ (0, 0, 2 * high)
    skull = u(0.11, 0.18)
    parts.append(ellipsoid(neck + _up(0.9 * skull), (skull, 0.9 * skull, 1.15 * skull)))
    for side in (1, -1):
        foot = (u(-0.3, 0.3), side * stance, 0)
        parts.append(rod((0, side * 0.5 * wide, leg + 0.05), foot, thick))
        shoulder = neck + lean @ (0, side * (wide + 0.03), -0.1)
        elbow = shoulder + u(0.25, 0.36) * _ahead(u(-130, 60), side * u(0, 1))
        hand = elbow + u(0.22, 0.34) * _ahead(u(-110, 80), side * u(-0.3, 0.7))
        arm = u(0.05, 0.08)
        parts += [rod(shoulder, elbow, arm), rod(elbow, hand, 0.85 * arm)]
    if u() < 0.4:  # what is held in the last hand
        held = u(0.2, 0.6) * _ahead(u(-30, 90), u(-0.5, 0.5))
        parts.append(rod(hand - 0.4 * held, hand + 0.6 * held, u(0.02, 0.05)))
    if u() < 0.4:  # a hat
        top = neck[2] + 1.7 * skull
        parts.append(rod((neck[0], 0, top), (neck[0], 0, top + u(0.04, 0.2)), u(1, 1.6) * skull))
    if u() < 0.4:  # a stand, as toys have it
        parts.append(rod((0, 0, -0.05), (0, 0, 0), u(0.3, 0.45)))
    return parts


def airplane(random):
    u = random.uniform
    thick = u(0.09, 0.2)
    parts = [ellipsoid((0, 0, 0), (1, thick, thick * u(0.9, 1.3)))]
    if u() < 0.5:  # a fuselage of one thickness over most of its length
        parts.append(rod((-0.6, 0, 0), (0.6, 0, 0), 0.9 * thick))
    span, chord, sweep = u(0.55, 1.1), u(0.1, 0.22), u(0, 40)
    root = (u(-0.1, 0.3), 0, u(-0.7, 0.8) * thick)
    wing = _wing(root, chord, span, sweep, u(-3, 10))
    parts += [wing, mirrored(wing)]
    if u() < 0.25:  # a biplane
        above = _wing((root[0] + u(-0.1, 0.1), 0, root[2] + u(0.25, 0.4)), chord, span, sweep, 0)
        strut = rod(wing.centre, above.centre, 0.02)
        parts += [above, mirrored(above), strut, mirrored(strut)]
    fin = u(0.2, 0.42)
    tall = turned(pitch=u(-10, 40))  # it leans back
    parts.append(box((-0.85, 0, 0.5 * fin), (0.5 * u(0.15, 0.3), 0.02, 0.6 * fin), tall))
    height = fin if u() < 0.3 else u(0, 0.1)
    tail = _wing((-0.85, 0, height), u(0.05, 0.11), u(0.2, 0.42), sweep, 0)
    parts += [tail, mirrored(tail)]
    for place in np.linspace(0.35, 0.7, random.integers(0, 3)):  # engines at the wings
        at = wing.centre + (2 * place - 1) * wing.axes[:, 1] + (0.05, 0, u(-0.1, 0.02))
        engine = rod(at - 0.15 * _ahead(0), at + u(0.05, 0.2) * _ahead(0), u(0.04, 0.08))
        parts += [engine, mirrored(engine)]
    if u() < 0.4:  # a propeller that turns
        parts.append(rod((1, 0, 0), (1.02, 0, 0), u(0.15, 0.3)))
    if u() < 0.6:
        parts.append(ellipsoid((u(0.2, 0.6), 0, thick), (u(0.12, 0.25), 0.6 * thick, 0.7 * thick)))
    if u() < 0.5:  # wheels, the landing gear's
        wheel = rod((0.3, 0.2, -thick - 0.15), (0.3, 0.25, -thick - 0.15), u(0.05, 0.1))
        leg = rod((0.3, 0.5 * thick, 0), wheel.centre, 0.025)
        parts += [wheel, mirrored(wheel), leg, mirrored(leg)]
    return parts


def truck(random):
    u = random.uniform
    wide, wheel = u(0.22, 0.32), u(0.1, 0.18)
    deck = 1.3 * wheel
    parts = [box((0, 0, deck), (1, 0.8 * wide, 0.06))]
    long, high = u(0.16, 0.28), u(0.22, 0.38)
    hood = u(0.1, 0.22) if u() < 0.5 else 0.0
    front = 1 - 2 * hood
    parts.append(box((front - long, 0, deck + high), (long, wide, high)))
    if hood:
        low = high * u(0.4, 0.6)
        parts.append(box((1 - hood, 0, deck + low), (hood, 0.85 * wide, low)))
    back, start = -1.0, front - 2 * long - u(0.03, 0.12)
    middle, half = (back + start) / 2, (start - back) / 2
    kind = random.integers(4)
    if kind == 0:  # a closed box
        tall = u(0.25, 0.48)
        parts.append(box((middle, 0, deck + 0.05 + tall), (half, wide * u(0.95, 1.1), tall)))
    elif kind == 1:  # a tank
        radius = wide * u(0.8, 1)
        height = deck + 0.05 + radius
        parts.append(rod((back, 0, height), (start, 0, height), radius))
    elif kind == 2:  # open, with walls
        tall = u(0.06, 0.2)
        parts.append(box((middle, 0, deck + 0.06), (half, wide, 0.03)))
        wall = box((middle, wide, deck + tall), (half, 0.025, tall))
        parts += [wall, mirrored(wall), box((back, 0, deck + tall), (0.025, wide, tall))]
    else:  # a tipping one, raised or not
        tall, raised = u(0.12, 0.25), turned(pitch=u(0, 30))
        at = (back, 0, deck + 0.06) + raised @ (half, 0, tall)
        parts.append(box(at, (half, wide, tall), raised))
    axles = [front - long, *np.linspace(-0.75, -0.75 + u(0.2, 0.5), random.integers(1, 4))]
    return parts + _wheels(axles, wide, wheel, u(0.05, 0.1))


def car(random):
    u = random.uniform
    wide, wheel = u(0.3, 0.44), u(0.13, 0.2)
    high = u(0.1, 0.17)
    middle = wheel + high * u(0.6, 1)
    parts = [box((0, 0, middle), (u(0.75, 0.95), wide, high))]
    if u() < 0.6:  # a rounded nose and rear
        parts.append(ellipsoid((0, 0, middle), (1, 0.95 * wide, 1.15 * high)))
    long, tall = u(0.28, 0.55), u(0.12, 0.24)
    at = (u(-0.3, 0.1), 0, middle + high)
    if u() < 0.5:
        parts.append(ellipsoid(at, (1.2 * long, 0.9 * wide, 1.5 * tall)))
    else:
        parts.append(box(at + _up(tall), (long, 0.88 * wide, tall)))
        slope = u(25, 45)
        for end in (1, -1):  # the panes before and behind slope down
            pane = turned(pitch=-end * slope)
            foot = np.array(at) + end * (long + 0.05) * _ahead(0) + _up(0.75 * tall)
            parts.append(box(foot, (0.9 * tall, 0.86 * wide, 0.4 * tall), pane))
    if u() < 0.3:  # a spoiler
        parts.append(box((-0.85, 0, middle + high + u(0.08, 0.16)), (0.1, wide, 0.02)))
        post = box((-0.82, 0.6 * wide, middle + high + 0.05), (0.03, 0.02, 0.1))
        parts += [post, mirrored(post)]
    axle = u(0.45, 0.6)
    return parts + _wheels((axle, -axle * u(0.95, 1.1)), wide, wheel, u(0.06, 0.1))


#: As the labels count them.
CATEGORIES = (animal, human, airplane, truck, car)


def _ahead(rise, aside=0.0):
    """A unit vector ahead, `rise` degrees upwards; aside: how far it leans to the left."""
    angle = np.deg2rad(rise)
    vector = np.array([np.cos(angle), aside, np.sin(angle)])
    return vector / np.linalg.norm(vector)


def _up(height):
    return np.array([0, 0, height])


def _wing(root, chord, span, sweep, rise):
    """The left one; chord: half its depth. It is swept back and raised by degrees."""
    turn = turned(yaw=sweep, roll=rise)
    return box(np.array(root) + turn @ (0, span / 2, 0), (chord, span / 2, 0.025), turn)


def _wheels(places, wide, radius, thick):
    """Two at each of the places along the body."""
    left = [rod((x, wide - thick, radius), (x, wide + 0.2 * thick, radius), radius) for x in places]
    return left + [mirrored(wheel) for wheel in left]
