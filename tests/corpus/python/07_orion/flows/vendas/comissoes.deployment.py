from shared.deploy import implantar
from vendas import comissoes

for mes in (3, 6, 9, 12):
    implantar(comissoes, "comissões de %02d" % mes, fila="financeiro", parameters={"mes": mes, "ano": 2023}, version="2023.%d" % mes)
