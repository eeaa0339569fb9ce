"""A network of two-dimensional convolutions, and the ways in which a convolution is written.

Goodfellow, Bengio and Courville, Deep Learning, chapter 9; LeCun et al., Gradient-based learning applied to document
recognition (1998).
"""

import numpy as np
from scipy import signal


def conv2d_single(image, kernel):
    """One image, one kernel, four loops."""
    H, W = image.shape
    kh, kw = kernel.shape
    out = np.zeros((H - kh + 1, W - kw + 1))
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            for m in range(kh):
                for n in range(kw):
                    out[i, j] += image[i + m, j + n] * kernel[m, n]
    return out


def conv_forward(x, w, b, stride=1, pad=1):
    """Images (N, C, H, W), filters (F, C, HH, WW): a window at a time."""
    N, C, H, W = x.shape
    F, _, HH, WW = w.shape
    x_pad = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)), mode="constant")
    H_out = 1 + (H + 2 * pad - HH) // stride
    W_out = 1 + (W + 2 * pad - WW) // stride
    out = np.zeros((N, F, H_out, W_out))
    for i in range(H_out):
        for j in range(W_out):
            window = x_pad[:, :, i * stride : i * stride + HH, j * stride : j * stride + WW]
            for f in range(F):
                out[:, f, i, j] = np.sum(window * w[f], axis=(1, 2, 3)) + b[f]
    return out


def im2col(x, kh, kw, stride=1):
    """The windows as the columns of a matrix."""
    C, H, W = x.shape
    oh = (H - kh) // stride + 1
    ow = (W - kw) // stride + 1
    cols = np.empty((C * kh * kw, oh * ow))
    for c in range(C):
        for i in range(kh):
            for j in range(kw):
                row = c * kh * kw + i * kw + j
                patch = x[c, i : i + stride * oh : stride, j : j + stride * ow : stride]
                cols[row, :] = patch.reshape(-1)
    return cols


def conv_im2col(x, w):
    F, C, kh, kw = w.shape
    oh, ow = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    return (w.reshape(F, -1) @ im2col(x, kh, kw)).reshape(F, oh, ow)


def conv_windows(x, w):
    """By np.lib.stride_tricks and np.einsum."""
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(1, 2))
    return np.einsum("chwij,fcij->fhw", windows, w)


def conv_fft(image, kernel):
    """A full convolution by the theorem of convolution."""
    shape = (image.shape[0] + kernel.shape[0] - 1, image.shape[1] + kernel.shape[1] - 1)
    return np.real(np.fft.ifft2(np.fft.fft2(image, shape) * np.fft.fft2(kernel, shape)))


def sobel_magnitude(image):
    """The strength of edges, by SciPy."""
    kx = np.array([[1, 0, -1], [2, 0, -2], [1, 0, -1]])
    gx = signal.convolve2d(image, kx, mode="valid")
    gy = signal.convolve2d(image, kx.T, mode="valid")
    return np.sqrt(gx**2 + gy**2)


def relu(x):
    return np.maximum(0, x)


def relu_mask(x):
    out = x.copy()
    out[out < 0] = 0
    return out


def max_pool(x, size=2):
    N, C, H, W = x.shape
    return x.reshape(N, C, H // size, size, W // size, size).max(axis=(3, 5))


def max_pool_loops(x, size=2):
    N, C, H, W = x.shape
    out = np.zeros((N, C, H // size, W // size))
    for i in range(H // size):
        for j in range(W // size):
            out[:, :, i, j] = np.max(x[:, :, i * size : (i + 1) * size, j * size : (j + 1) * size], axis=(2, 3))
    return out


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def cross_entropy(probs, y):
    m = y.shape[0]
    return -np.log(probs[np.arange(m), y]).sum() / m


def network_loss(params, x, y, reg=1e-2):
    """Convolution, ReLU, pooling, dense layer, softmax; parameters in a dictionary."""
    h = conv_forward(x, params["W1"], params["b1"])
    h = max_pool(relu(h))
    scores = h.reshape(h.shape[0], -1) @ params["W2"] + params["b2"]
    loss = cross_entropy(softmax(scores), y)
    loss += 0.5 * reg * sum(np.sum(params[k] * params[k]) for k in params if k.startswith("W"))
    return loss


def network_loss_smooth(W1, W2, x, y):
    """With tanh and mean pooling, as in LeNet."""
    losses = []
    for image, label in zip(x, y):
        h = np.tanh(conv_im2col(image, W1))
        features = h.mean(axis=(1, 2))
        z = np.dot(W2, features)
        z = z - np.max(z)
        losses.append(np.log(np.sum(np.exp(z))) - z[label])
    return np.mean(losses)


def batch_norm(x, gamma, beta, eps=1e-5):
    """Over images and pixels, for each channel."""
    mu = x.mean(axis=(0, 2, 3), keepdims=True)
    var = np.var(x, axis=(0, 2, 3), keepdims=True)
    x_hat = (x - mu) / np.sqrt(var + eps)
    return gamma[None, :, None, None] * x_hat + beta[None, :, None, None]
