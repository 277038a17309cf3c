"""Labels of grid cells: the thing in front, its attributes and its part, numbered by frequency."""

import numpy as np

from xlxmert.data.cells import label_cells
from xlxmert.data.records import InstanceRecord


def thing(name, box, *attributes, crowd=False):
    return InstanceRecord(1, 1, name, box, attributes, crowd)


def test_a_thing_stands_in_the_cells_that_its_box_covers():
    found = label_cells([[thing("car", (0.25, 0.5, 0.75, 1.0))]], grid=4, least=1)
    grid = found.things[0].reshape(4, 4)
    assert grid.tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0]]
    assert len(set(found.parts[0][found.things[0] > 0])) == 4 and (found.parts[0][found.things[0] == 0] == -1).all()


def test_a_sliver_of_a_box_does_not_count():
    found = label_cells([[thing("car", (0.0, 0.0, 0.52, 0.5))]], grid=2, least=1)
    assert found.things[0].tolist() == [1, 0, 0, 0]


def test_the_smaller_of_two_boxes_is_in_front_whatever_their_order():
    sofa, cat = thing("sofa", (0.0, 0.0, 1.0, 1.0)), thing("cat", (0.5, 0.5, 1.0, 1.0))
    for things in ([sofa, cat], [cat, sofa]):
        found = label_cells([things], grid=2, least=1)
        assert len(set(found.things[0][:3])) == 1 and found.things[0][3] not in (0, found.things[0][0])


def test_attributes_are_named_apart_and_rare_ones_are_left_out():
    pictures = [[thing("car", (0.0, 0.0, 1.0, 1.0), "red", "big")]] * 3 + [[thing("car", (0.0, 0.0, 1.0, 1.0), "blue")]]
    found = label_cells(pictures, grid=1, least=2)
    assert found.attributes.shape == (4, 1, 2)  # red and big; blue was seen once
    assert found.attributes[:, 0].tolist() == [[True, True]] * 3 + [[False, False]]
    assert found.parts[:, 0].tolist() == [0, 0, 0, -1]


def test_rare_names_and_crowds_are_plain_areas():
    pictures = [[thing("car", (0.0, 0.0, 1.0, 1.0))]] * 3 + [
        [thing("yak", (0.0, 0.0, 1.0, 1.0))],
        [thing("car", (0.0, 0.0, 1.0, 1.0), crowd=True)],
    ]
    assert label_cells(pictures, grid=1, least=2).things[:, 0].tolist() == [1, 1, 1, 0, 0]


def test_pictures_without_things_have_no_labels():
    found = label_cells([[], []], grid=3)
    assert found.things.shape == (2, 9) and not found.things.any() and (found.parts == -1).all()
    assert found.attributes.shape == (2, 9, 0) and found.things.dtype == np.int64
