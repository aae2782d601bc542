"""Write the checkpoint ``model.ckpt-7`` and the same values as ``values.npz``, with TensorFlow itself.

    pip install tensorflow-cpu && python tests/convert/data/make_bundle.py

Two files of values, every type that is read, and names as SketchyGAN's code has them. Made with TensorFlow 2.21.
"""

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
rng = np.random.default_rng(0)
VALUES = {
    "generator/Conv/weights": rng.normal(size=(3, 3, 2, 5)).astype(np.float32),
    "generator/Conv/biases": rng.normal(size=(1, 5, 1, 1)).astype(np.float32),
    "generator/mru_conv_unit_t_1_layer_0/norm_activation_in/offset": rng.normal(size=(4, 5)).astype(np.float32),
    "generator/mru_conv_unit_t_1_layer_0/norm_activation_in/scale": rng.normal(size=(4, 5)).astype(np.float32),
    "discriminator/Conv/prelu/param": np.float32(0.25),
    "discriminator/Conv/discriminator/Conv/u": rng.normal(size=(1, 5)).astype(np.float32),
    "half": rng.normal(size=7).astype(np.float16),
    "double": rng.normal(size=(2, 3)),
    "int": np.array([-1, 2**31 - 1], np.int32),
    "long": np.array(-(2**62)),
    "flags": np.array([True, False]),
    "bytes": np.arange(5, dtype=np.uint8),
    "none": np.zeros((0, 3), np.float32),
    "beta1_power": np.float32(0.5),
    "Variable": np.int32(7),
}
VALUES |= {f"generator/Conv/weights/{slot}": VALUES["generator/Conv/weights"] ** 2 for slot in ("Adam", "Adam_1")}


def main() -> None:
    with tf.Graph().as_default():
        variables = []
        for i, (name, value) in enumerate(VALUES.items()):
            with tf.device(f"/cpu:{i % 2}"):  # a sharded checkpoint has a file of values per device
                variables.append(tf.compat.v1.Variable(value, name=name, use_resource=False))
        saver = tf.compat.v1.train.Saver(variables, sharded=True)
        with tf.compat.v1.Session(config=tf.compat.v1.ConfigProto(device_count={"CPU": 2})) as session:
            session.run(tf.compat.v1.global_variables_initializer())
            os.chdir(HERE)  # so that the text file names no folder
            saver.save(session, "model.ckpt", global_step=7, write_meta_graph=False)
    np.savez(HERE / "values.npz", **VALUES)


if __name__ == "__main__":
    main()
