"""Photos kept out of training."""

from model_build.data.images import is_held_out, photo_digest


def test_a_photos_content_decides() -> None:
    digests = [photo_digest(f"photo {number}".encode()) for number in range(2000)]
    assert len(set(digests)) == 2000
    held = [is_held_out(digest, 0.25) for digest in digests]
    assert 0.22 < sum(held) / 2000 < 0.28
    # Whoever is held out of less is held out of more.
    assert all(is_held_out(digest, 0.5) for digest, was in zip(digests, held, strict=True) if was)
    assert not any(is_held_out(digest, 0.0) for digest in digests)
    assert all(is_held_out(digest, 1.0) for digest in digests)
