"""Networks of one product of two matrices of 512 x 512, in float32 and in INT8, for each kind of file.

Deflated twice, as all weights are equal. Made by tools/make_peak_models.py.
"""

SIZE = 512
PEAK_MODELS = {
    ".onnx": {
        "float": (
            "eNqruPX2lCHXIQcGFgf+Zhl2L5sPzLd+smzk0GytOeAnLe2tumy3/I89NccTsjOtN2w+uslQ7tilJaVc60V+ybS9XbTbZtdz"
            "2/bb/2JnRazSLM1wrte6XHhHlpFhFIyCUTDSwL/Ce0s+nCqNOjoheNbxoNrXVmcPv78Tlhmmb693NfoRAKI2ONI="
        ),
        "int8": (
            "eNqruPX2jLfX4QQBhoTlmkL1gXXM71wU3xWxFIbGdOrd2eXtLejIkqs6K9Sm8fjlxze49GpkHv6WaEuMS6389HHW5cSu5yLd"
            "IrWiuXPPP+P3f/v307b58Xfunb99vGTKoujz7rXhR7/Mb90rktuVKbq56vOm2Di7u0ubRTa/n6//9d3V/matvFnbFacfrhDd"
            "OcOl3I5nJ8OIBj+W3jwX2H/598eXKmK+M919c3wW5W8r2rjOrbZ87/xHO09lbpcJ1RR9avDP63Lo76f51UZ+0pXPhUPlDTgA"
            "uGRlBQ=="
        ),
    },
    ".tflite": {
        "float": (
            "eNqruPX2vK3fYQcBtgudyYrMYQWOE5VkxR2aJs3qamriVghsYNlywNaCY/tDi7RrcS2sqm9vv3j73vzmVzOlPL3155TMCmWc"
            "v1x86jd79YnQI5nfrq9WvGaZfynv1JRt00+a/Z7Up1n7obKIkWEUjIJRMNLAB/n3jy3WKT2y8Lp9xCwdWE64zl5dWT/93aXa"
            "Kp/cql21FXqip28ZTbt12DV3W96Kz2W/zpr6Rp1/frlqzfuMV1avKnd+3nPv58SZesf3pd3Lqns1a5O9T/rTt3+Vvtvu+3Ny"
            "+vuel/ef75r/5vX6N1m/tv3sW3xU9vfX3NRfrGybE8oANVJ9GA=="
        ),
        "int8": (
            "eNqruPX2wm5fZkcBhgsba53M5vSoyghYLGb0FhAQUFJScmH2YFFg1LzArhrAI3uBoXbGzc9K8mKMrHvKZ/298+7MvbdKSuv0"
            "9foXG/dWnlnUW9g3e47rOaVplv+kTAxPfTRInvh52+39k61n55x+9+KWIMNIBgembb+aZdrRUSly2eLMRZ1bEu6TN3/97Xos"
            "91jsMWe3yR8riv+HGP3auVR/Z/XeOybzrhZetn09J/FYxt57Z8O/WreVypX+XTwv9tO6Iv+VW2P0/b3q570/tvWff9yXV+/q"
            "5OZO/bf12rtZD5/F82/79zUlePnq///O/zpff0XffGe83oJr+t8rorKn7zur/qrq9ten/+rmX7Z/nPq6x/Hu/W/nNEvVvu47"
            "9UH6aofyTAAgsJID"
        ),
    },
    ".mnn": {
        "float": (
            "eNrt1QtTEgYAAOC83c3rNu28zlfquHMrd9rkyAcgiqd17nzh0jOnJXWRqeVjaj4Qgdu6raaiLYeKCmwpqCBqBvggZZ4uzhRY"
            "KiI2JSIwQCTlpTxkd/2N+f2Jr25DvyouvybxPvHGGCiISA70+6npSWjT1xzG+eBbsF8iiT9/9z441zvhPWN5FXLx/mPILOVS"
            "H6wvfKqRwWgKxbslns8dvTHLCPPJziZ6NB25EUOjTt5MqBBjDQTjhXXvzI4GqS22XL1ZJXKatxYeQryaXonFh37ziYHNkxAK"
            "37zf0XaYu/HjBMRvPtPW11gX7/yqK7rbZ2W5tojmempiNuOjWLSE+k4+9jd4KqDfukJdLl9hmRbvgVhczqelm58TeIPNTmJ3"
            "d4BOSfRNIUyq7RbIJ54qs04q3/LLx91VlSAByeUlZfwqTKRNWFSg+tWeumLtEAsUDpxCLzSzePF8Tk/bbnolkMrUPefOoEsP"
            "/9ZM+GpxI9fz+VF58IAMMKg26apysVeo7766GLZX4m//oQ6FbVBazIqkqtp7ZxHEnl59TGUxJLBl/IpVe6UVM359pyVM+qZh"
            "OtzA1a3k949ZPsvweGv91v1pO5wMmM9xD4anKVcz8KSFdXYnfPEvOY1mEtdkhHOhVMyHEfLDKgnJ9vutrRpAOMdM0aw6bXJa"
            "+SX60opkRw7UHsgYOxoNwqGILhsVzGzZbxf2QwmqoaRY4suNI45IzvSBoVvYaAol5hQwvujF2D9q0lCG/zUJEv+BOoWQBElV"
            "FuQgFEv3ZEelCHs1QndhHcIAovRiemb5+gj6cMeMDJ9mzELlaZsHpWt241ymUqUtVOXq302sqSFjAhnQ3wbtmtyN4VALqLiD"
            "gXc9zDW6ZVSqiXA6HJHbl6srhWxQgcMKiNZxpwRTQY0h1OkEbGJ9NVUt9PbK0uVUymXFayxMdDjbatefSacoFjoRcRt4V/2e"
            "vtDZ2mqBZpGdYRnyvaXIcTtFLxGj2AZ2Mjnn9VHbdPfzi+cOd7G5d/IHXtqtaSG709G7NzDqfjnYNaC8XSM/iR/hAxhw7Tbv"
            "j7bCGePWuiEou6b6UZxNxtsx5Kk7DWCQ+cndLnpxlyWu5FnFgRHAcjtx7Nix/xtHfDAukPmq9WNGracrLvigohEC0veN90G+"
            "NPOYtI1lA9ykXx4+1WeHwWBevoxFNBb0TR+uHviFFUpEBpR+7AF5xvOBkiXhzSkI5j3Ca+mDADDY0Mx90Rt2dpiK0kr2aCmS"
            "9iZIOwpoPRehUQFpZGblY2iHoBrIqU7998+yzaJ9gdJRukt3AbRoE0OCGP6SjLYuh4HB4DXBtg5kMnYcxtQ/wqfDZKJaLier"
            "UhQ7iXumb2jZdk1uTpOWtt0lGoQzqy2qPF5OmJPx5k37jGKnqCEEcxo9TlKWbI6sxnaK4K63xkX9VPOwo96kLqpS3kG6fD2G"
            "csb+A+QUUkk="
        ),
    },
}
