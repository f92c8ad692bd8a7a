"""What a codec is trained by: distances of spectra, their balance, and a discriminator."""

from __future__ import annotations

import pytest
import torch
from auraloss.freq import MultiResolutionSTFTLoss
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mtj_trainer.families.codec.balance import GradientBalancer, with_gradient
from mtj_trainer.families.codec.discriminator import (
    Discriminator,
    Verdict,
    adversarial_loss,
    discriminator_loss,
    feature_matching_loss,
)
from mtj_trainer.families.codec.spectral import (
    BINS_A_BAND,
    RESOLUTIONS,
    MelDistance,
    Spectrograms,
    mel_filters,
    short_time_fourier,
    stft_distance,
)

AUDIO = {
    "noise": lambda: 0.1 * torch.randn(3, 8000),
    "a tone": lambda: 0.5 * torch.sin(torch.arange(8000) * 0.1)[None].repeat(3, 1),
    "silence": lambda: torch.zeros(3, 8000),
}


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize(("fft", "hop", "window"), [*RESOLUTIONS, (256, 64, 256)])
def test_a_transform_and_its_gradient_are_those_of_torch(fft: int, hop: int, window: int, normalized: bool) -> None:
    audio = AUDIO["noise"]().requires_grad_()
    hann = torch.hann_window(window)
    ours = short_time_fourier(audio, fft, hop, hann, normalized=normalized)
    theirs = torch.stft(audio, fft, hop, window, hann, normalized=normalized, return_complex=True)
    assert torch.equal(ours, theirs)
    gradients = [torch.autograd.grad(bins.abs().sum(), audio)[0] for bins in (ours, theirs)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(("decoded", "reference"), [("noise", "a tone"), ("a tone", "noise"), ("silence", "noise")])
def test_the_stft_distance_is_that_of_auraloss(decoded: str, reference: str) -> None:
    torch.manual_seed(0)
    here, there = AUDIO[decoded](), AUDIO[reference]()
    theirs = MultiResolutionSTFTLoss(*([list(sizes) for sizes in zip(*RESOLUTIONS, strict=True)]))
    spectrograms = Spectrograms()
    own = stft_distance(spectrograms(here), spectrograms(there))
    torch.testing.assert_close(own, theirs(here[:, None], there[:, None]), rtol=1e-4, atol=1e-4)


def test_distances_of_equal_audio_are_nothing_and_grow_with_noise() -> None:
    torch.manual_seed(0)
    spectrograms, mel = Spectrograms(), MelDistance(16_000)
    audio, noise = AUDIO["a tone"](), torch.randn(3, 8000)
    there = spectrograms(audio)
    found = [spectrograms(audio + share * noise) for share in (0.0, 0.001, 0.01, 0.1)]
    for distances in ([stft_distance(one, there) for one in found], [mel(one, there) for one in found]):
        assert distances[0] == 0
        assert distances == sorted(distances)


def test_distances_have_gradients_even_of_silence() -> None:
    spectrograms, mel = Spectrograms(), MelDistance(16_000)
    audio = torch.zeros(2, 4000, requires_grad=True)
    here, there = spectrograms(audio), spectrograms(torch.zeros(2, 4000))
    torch.autograd.backward(stft_distance(here, there) + mel(here, there))
    assert audio.grad is not None
    assert audio.grad.isfinite().all()


@pytest.mark.parametrize(("rate", "fft"), [(8_000, 512), (16_000, 1024), (44_100, 2048), (48_000, 512)])
def test_mel_bands_cover_the_spectrum_without_a_gap(rate: int, fft: int) -> None:
    filters = mel_filters(rate, fft, fft // BINS_A_BAND)
    assert filters.shape == (fft // BINS_A_BAND, fft // 2 + 1)
    assert (filters.sum(dim=1) > 0).all()
    assert (filters.sum(dim=0)[1:-1] > 0).all()


class Pulls:
    """Losses that pull at audio with these forces, in directions at right angles to each other."""

    def __init__(self, **forces: float) -> None:
        self.forces = forces

    def __call__(self, audio: Tensor) -> dict[str, Tensor]:
        return {name: force * audio[:, i].mean() for i, (name, force) in enumerate(self.forces.items())}


@given(force=st.floats(1e-4, 1e4), weight=st.floats(0.01, 100))
@settings(max_examples=50, deadline=None)
def test_weights_are_shares_of_the_gradient_whatever_the_scale_of_a_loss(force: float, weight: float) -> None:
    balancer = GradientBalancer({"one": weight, "other": 1.0})
    audio = torch.zeros(4, 2, requires_grad=True)
    gradient = balancer(Pulls(one=force, other=1.0)(audio), audio) * len(audio)
    expected = torch.tensor([weight, 1.0]) / (weight + 1.0)
    torch.testing.assert_close(gradient, expected.expand(4, 2), rtol=1e-4, atol=1e-5)


def test_a_balancer_goes_on_from_its_saved_state() -> None:
    whole, before, after = (GradientBalancer({"one": 1.0, "other": 1.0}) for _ in range(3))
    audio = torch.zeros(4, 2, requires_grad=True)
    for step in range(6):
        losses = Pulls(one=1.0 + step, other=1.0)
        expected = whole(losses(audio), audio)
        if step == 3:
            after.load_state_dict(before.state_dict())
        found = (before if step < 3 else after)(losses(audio), audio)
        assert torch.equal(found, expected)


def test_a_loss_that_pulls_at_nothing_changes_nothing() -> None:
    audio = torch.ones(4, 2, requires_grad=True)
    balanced = GradientBalancer({"one": 1.0, "other": 1.0})(Pulls(one=0.0, other=1.0)(audio), audio)
    torch.testing.assert_close(balanced, torch.tensor([[0.0, 0.125]]).expand(4, 2))


def test_a_scalar_takes_a_given_gradient_and_keeps_its_value() -> None:
    audio, gradient = torch.randn(2, 5, requires_grad=True), torch.randn(2, 5)
    value = with_gradient(torch.tensor(3.0), audio, gradient)
    torch.autograd.backward(value)
    assert float(value.detach()) == pytest.approx(3.0)
    torch.testing.assert_close(audio.grad, gradient)


def verdicts(logit: float, feature: float = 1.0) -> list[Verdict]:
    return [Verdict(torch.full((2, 1, 3, 3), logit), [torch.full((2, 4, 3, 3), feature)]) for _ in range(2)]


@pytest.mark.parametrize(
    ("real", "decoded", "own", "adversarial"),
    [(0.0, 0.0, 2.0, 1.0), (1.0, -1.0, 0.0, 2.0), (5.0, -5.0, 0.0, 6.0), (-1.0, 1.0, 4.0, 0.0)],
)
def test_hinge_losses(real: float, decoded: float, own: float, adversarial: float) -> None:
    assert float(discriminator_loss(verdicts(real), verdicts(decoded))) == own
    assert float(adversarial_loss(verdicts(decoded))) == adversarial


def test_features_are_matched_relative_to_their_size() -> None:
    for size in (0.01, 100.0):
        assert float(feature_matching_loss(verdicts(0, size), verdicts(0, 1.5 * size))) == pytest.approx(0.5)


def test_a_discriminator_learns_to_tell_a_tone_from_noise() -> None:
    torch.manual_seed(0)
    discriminator = Discriminator(windows=(256, 128), channels=4)
    optimizer = torch.optim.Adam(discriminator.parameters(), 1e-2)
    losses = []
    for _ in range(30):
        tones = 0.5 * torch.sin(torch.arange(2000) * (0.05 + torch.rand(4, 1)))
        loss = discriminator_loss(discriminator(tones), discriminator(0.3 * torch.randn(4, 2000)))
        losses.append(float(loss.detach()))
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert losses[0] == pytest.approx(2.0, abs=0.3)
    assert losses[-1] < 0.5
