"""Residuals of bundle adjustment.

Hartley and Zisserman, Multiple View Geometry, chapters 6 and 18 and appendix 4; Agarwal et al., Bundle adjustment in
the large (2010), whose camera has a rotation vector, a translation, a focal length and two coefficients of radial
distortion.
"""

import numpy as np


def rotate(points, rot_vecs):
    """Rodrigues' formula for many points, each with its own rotation vector."""
    theta = np.linalg.norm(rot_vecs, axis=1)[:, np.newaxis]
    with np.errstate(invalid="ignore"):
        v = rot_vecs / theta
        v = np.nan_to_num(v)
    dot = np.sum(points * v, axis=1)[:, np.newaxis]
    cos_theta = np.cos(theta)
    sin_theta = np.sin(theta)
    return cos_theta * points + sin_theta * np.cross(v, points) + dot * (1 - cos_theta) * v


def project(points, camera_params):
    points_proj = rotate(points, camera_params[:, :3])
    points_proj += camera_params[:, 3:6]
    points_proj = -points_proj[:, :2] / points_proj[:, 2, np.newaxis]
    f = camera_params[:, 6]
    k1 = camera_params[:, 7]
    k2 = camera_params[:, 8]
    n = np.sum(points_proj**2, axis=1)
    r = 1 + k1 * n + k2 * n**2
    points_proj *= (r * f)[:, np.newaxis]
    return points_proj


def residuals(params, n_cameras, n_points, camera_indices, point_indices, points_2d):
    """All parameters in one vector, as least squares wants them."""
    camera_params = params[: n_cameras * 9].reshape((n_cameras, 9))
    points_3d = params[n_cameras * 9 :].reshape((n_points, 3))
    points_proj = project(points_3d[point_indices], camera_params[camera_indices])
    return (points_proj - points_2d).ravel()


def skew(w):
    return np.array([[0, -w[2], w[1]], [w[2], 0, -w[0]], [-w[1], w[0], 0]])


def rodrigues(w):
    """The matrix of a rotation vector."""
    theta = np.sqrt(np.dot(w, w))
    if theta < 1e-12:
        return np.eye(3) + skew(w)
    K = skew(w / theta)
    return np.eye(3) + np.sin(theta) * K + (1 - np.cos(theta)) * K @ K


def euler_matrix(angles):
    """R = Rz Ry Rx."""
    a, b, c = angles
    Rx = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    Ry = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    Rz = np.eye(3)
    Rz[0, 0] = Rz[1, 1] = np.cos(c)
    Rz[1, 0] = np.sin(c)
    Rz[0, 1] = -Rz[1, 0]
    return Rz @ Ry @ Rx


def quaternion_matrix(q):
    w, x, y, z = q / np.linalg.norm(q)
    R = np.zeros((3, 3))
    R[0, :] = [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)]
    R[1, :] = [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)]
    R[2, :] = [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)]
    return R


def reprojection_error(poses, points, intrinsics, observations):
    """One observation (camera, point, u, v) after the other, x = K [R | t] X in homogeneous coordinates."""
    fx, fy, cx, cy = intrinsics
    K = np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])
    error = []
    for camera, point, u, v in observations:
        R = rodrigues(poses[camera, :3])
        t = poses[camera, 3:].reshape(3, 1)
        P = K @ np.hstack([R, t])
        X = np.append(points[point], 1.0)
        x = P.dot(X)
        error.append(x[0] / x[2] - u)
        error.append(x[1] / x[2] - v)
    return np.asarray(error)


def huber_cost(angles, translation, points, image, delta=0.5):
    """The robust cost of one camera; points behind the camera do not count."""
    R = euler_matrix(angles)
    X = (R @ points.T + translation[:, None]).T
    visible = X[:, 2] > 0
    x = X[:, :2] / X[:, 2:3]
    e = np.hypot(*(x - image).T)
    rho = np.where(e <= delta, 0.5 * e**2, delta * (e - 0.5 * delta))
    return np.sum(rho[visible])


def quaternion_residual(q, t, points, image, focal):
    R = quaternion_matrix(q)
    r = np.zeros((len(points), 2))
    for i, X in enumerate(points):
        x, y, z = R @ X + t
        r[i, 0] = focal * x / z - image[i, 0]
        r[i, 1] = focal * y / z - image[i, 1]
    return r.ravel()
