"""From a sentence to keypoints, from their skeleton to a film: two trained runs, one after the other.

python experiments/sign_chain/chain.py runs/sign_poses_dit runs/sign_pairs_pose2video out.html "much snow in the north"
"""

import sys
from pathlib import Path

import torch

from motion_lightning.assemble import load_run
from motion_lightning.config import instantiate
from motion_lightning.data.signs.skeleton_maps import PairCond, map_of_keypoints
from motion_lightning.tasks.keypoints import STICK
from motion_lightning.view.film import Film, film_fragment
from motion_lightning.view.fragment import write_page
from motion_lightning.view.signer import SignerView, signer_pictures


def chain(pose_run: str, video_run: str, page: str, *prompts: str, seconds: float = 3.4, seed: int = 0) -> Path:
    """Writes a page with the keypoints, their skeletons and the films of some sentences.

    The film has as many frames as the second model was trained with, over the whole sentence. It is made without text:
    its model knows other sentences than the first one's, and its pose says all.
    """
    poses, videos = load_run(pose_run), load_run(video_run)
    encoder = instantiate(poses.config["text_encoder"])
    text = encoder.encode(list(prompts))
    frames = [round(seconds * poses.model.codec.fps)] * len(prompts)
    sampled = poses.model.sample(text, frames, instantiate(poses.config["sampler"]), seed=seed)
    keypoints = [poses.model.codec.keypoints(x).numpy() for x in sampled]

    codec = videos.model.codec
    maps = [map_of_keypoints(clip, codec.shape[-1], codec.frames) for clip in keypoints]
    cond = PairCond(text, torch.stack([torch.from_numpy(one) for one in maps]) / 127.5 - 1)
    sampling = instantiate(videos.config["sampler"])._replace(guidance=0.0)
    films = videos.model.sample(cond, [codec.frames] * len(prompts), sampling, seed=seed)

    slow, shown = codec.frames / seconds, []
    for prompt, clip, skeleton, x in zip(prompts, keypoints, maps, films, strict=True):
        view = SignerView(clip[::2], prompt, fps=poses.model.codec.fps / 2)
        shown += [
            Film(signer_pictures(view, STICK), prompt, "keypoints", view.fps),
            Film(skeleton.transpose(0, 2, 3, 1), prompt, "skeleton", slow),
            Film(codec.decode(x).movedim(1, -1).numpy(), prompt, "film", slow),
        ]
    return write_page(page, "Text, keypoints, film", film_fragment(shown))


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    print(chain(*sys.argv[1:]))
