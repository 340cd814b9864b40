"""Weather and tiles: units and signs of both libraries; Kornia's rain and snow are ours."""

import pytest

from tests.importing.forms import a, albumentations, kornia, notes, only, verdicts


def test_kornias_numbers_keep_their_meaning():
    assert only(kornia("RandomRain(number_of_drops=(10, 20), drop_height=(5, 9), drop_width=(-5, 5), p=0.5)")) == {
        "op": "rain",
        "drops": [10.0, 20.0],
        "length": [5.0, 9.0],
        "slant": [-5.0, 5.0],
        "p": 0.5,
    }
    snow = only(kornia("RandomSnow(snow_coefficient=(0.3, 0.5), brightness=(1.5, 2), p=1.0)"))
    assert (snow["amount"], snow["brightness"]) == ([0.3, 0.5], [1.5, 2.0])
    shade = "RandomPlasmaShadow(roughness=(0.1, 0.7), shade_intensity=(-0.5, -0.1), shade_quantity=(0.2, 0.4), p=0.5)"
    shadow = only(kornia(shade))
    assert (shadow["mode"], shadow["intensity"], shadow["quantity"]) == ("shadow", [0.1, 0.5], [0.2, 0.4])
    contrast = only(kornia("RandomPlasmaContrast(roughness=(0.1, 0.7), p=0.5)"))
    assert (contrast["mode"], contrast["intensity"]) == ("contrast", 1.0)
    clahe = only(kornia("RandomClahe(clip_limit_factor=(40.0, 40.0), p=0.5, grid_size=(4, 4))"))
    assert (clahe["space"], clahe["tiles"], clahe["clip_limit"]) == ("rgb", 4, [40.0, 40.0])


def test_rain_and_snow_are_equal_and_fields_of_noise_near():
    became = verdicts(kornia("RandomRain(p=0.5)", "RandomSnow(p=0.5)", "RandomPlasmaBrightness(p=0.5)"))
    assert (became["RandomRain"], became["RandomSnow"], became["RandomPlasmaBrightness"]) == ("equal", "equal", "near")


def test_albumentations_snow_point_is_half_of_a_lightness_above_a_third():
    snow = only(albumentations(a("RandomSnow", snow_point_range=[0.1, 0.3], brightness_coeff=2.0, p=0.5)))
    assert snow["amount"] == pytest.approx([0.05 + 1 / 3, 0.15 + 1 / 3])
    assert snow["brightness"] == 2.0
    refused = albumentations(a("RandomSnow", method="texture", p=0.5))
    assert "draws a texture of snow" in notes(refused)


def test_a_region_of_shadows_is_two_corners():
    shadow = only(albumentations(a("RandomShadow", shadow_roi=[0.1, 0.5, 0.9, 1], num_shadows_limit=[1, 3], p=0.5)))
    assert (shadow["x"], shadow["y"], shadow["shadows"]) == ([0.1, 0.9], [0.5, 1.0], [1.0, 3.0])
    assert "another number of corners" in notes(albumentations(a("RandomShadow", shadow_dimension=6, p=0.5)))


def test_a_number_as_clip_limit_of_clahe_is_its_high_end():
    clahe = only(albumentations(a("CLAHE", clip_limit=3.0, tile_grid_size=[8, 8], p=0.5)))
    assert clahe["clip_limit"] == [1.0, 3.0]
    assert "same number of tiles" in notes(albumentations(a("CLAHE", tile_grid_size=[8, 4], p=0.5)))
