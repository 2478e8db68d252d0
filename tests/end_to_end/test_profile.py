def test_a_profile_is_printed_and_nothing_written(fromnoise, tmp_path):
    done = fromnoise("train", "--preset", "tiny", "--channels", "8", "--batch", "4", "--profile", cwd=tmp_path)
    for words in ("ms per step of 4 images", "TFLOP/s", "backward", "Most expensive operators"):
        assert words in done.stdout
    assert not list(tmp_path.iterdir())
