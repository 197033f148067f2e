"""Forecast of the next day from a year of temperatures, with an 80 % band."""

from __future__ import annotations

import pandas as pd

from fastgru.data import temperature
from fastgru_recipes import Forecaster


def main() -> None:
    times, celsius = temperature()
    year = pd.DataFrame({"time": times, "value": celsius})
    known, day = year.iloc[:-24], year.iloc[-24:]

    forecaster = Forecaster(context=96, horizon=24, hidden=32, epochs=4, stride=4, batch=64)
    forecast = forecaster.fit(known).predict()
    print(forecaster.history_[["validation_loss", "gradient_norm", "seconds"]].round(3))

    forecast["came"] = day["value"].to_numpy()
    print(forecast[["time", "q0.1", "q0.5", "q0.9", "came"]].iloc[::6].to_string(index=False, float_format="%.1f"))
    inside = forecast["came"].between(forecast["q0.1"], forecast["q0.9"])
    print(f"{inside.sum()} of 24 hours inside the band; MASE of the validation part: ", end="")
    print(f"{forecaster.trained_.metrics['scores']['MASE']:.2f}")


if __name__ == "__main__":
    main()
