"""What the charts of ``report.html`` need in the page: Observable Plot and d3, and the styles that Plot adds itself.

Both libraries are the published files in ``sotto/templates/vendor``, whose README names version, licence and SHA-256.
"""

from __future__ import annotations

#: In the order in which they must run: Plot draws with d3.
LIBRARIES = ("vendor/d3.min.js", "vendor/plot.umd.min.js")
LICENCES = ("vendor/d3.LICENSE", "vendor/plot.LICENSE")

#: The option ``className`` of every chart; it makes the text of Plot's own ``<style>`` elements constant.
CLASS_NAME = "plot"

_CHART = """:where(.NAME) {
  --plot-background: white;
  display: block;
  height: auto;
  height: intrinsic;
  max-width: 100%;
}
:where(.NAME text),
:where(.NAME tspan) {
  white-space: pre;
}"""
_LEGEND = """:where(.NAME-swatches) {
  font-family: system-ui, sans-serif;
  font-size: 10px;
  margin-bottom: 0.5em;
}
:where(.NAME-swatch > svg) {
  margin-right: 0.5em;
  overflow: visible;
}
:where(.NAME-swatches-wrap) {
  display: flex;
  align-items: center;
  min-height: 33px;
  flex-wrap: wrap;
}
:where(.NAME-swatches-wrap .NAME-swatch) {
  display: inline-flex;
  align-items: center;
  margin-right: 1em;
}"""

#: The text of the ``<style>`` elements that Plot puts into a chart and into a legend.
STYLES = tuple(text.replace("NAME", CLASS_NAME) for text in (_CHART, _LEGEND))
